//! stub
use std::sync::Arc;
/// stub
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestPath(Arc<str>);
/// stub
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("stub")]
pub struct AmbiguousPath;
impl RequestPath {
    /// stub
    pub fn read(raw: &str) -> Self {
        Self(raw.into())
    }
    /// stub
    pub fn raw(&self) -> &str {
        &self.0
    }
    /// stub
    pub fn normal(&self) -> Result<&str, AmbiguousPath> {
        Ok(&self.0)
    }
}
/// stub
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathPattern(Arc<str>);
/// stub
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPatternFault;
impl PathPatternFault {
    /// stub
    pub fn found(&self) -> String {
        String::new()
    }
    /// stub
    pub fn wanted(&self) -> String {
        String::new()
    }
    /// stub
    pub fn fix(&self) -> String {
        String::new()
    }
}
impl PathPattern {
    /// stub
    pub fn parse(text: &str) -> Result<Self, PathPatternFault> {
        Ok(Self(text.into()))
    }
    /// stub
    pub fn matches(&self, normal: &str) -> bool {
        *self.0 == *normal
    }
}
impl std::fmt::Display for PathPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
