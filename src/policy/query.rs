//! stub
/// stub
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Query;
impl Query {
    /// stub
    pub fn read(_raw: Option<&str>) -> Self {
        Self
    }
    /// stub
    pub fn absent() -> Self {
        Self
    }
}
/// stub
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryPattern;
/// stub
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPatternFault;
impl QueryPatternFault {
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
impl QueryPattern {
    /// stub
    pub fn new(_name: &str, _values: Vec<String>) -> Result<Self, QueryPatternFault> {
        Ok(Self)
    }
    /// stub
    pub fn surely(&self, _query: &Query) -> bool {
        true
    }
    /// stub
    pub fn maybe(&self, _query: &Query) -> bool {
        true
    }
}
impl std::fmt::Display for QueryPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("")
    }
}
