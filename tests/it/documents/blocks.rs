//! The pages for people and their fenced blocks.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block.
pub(crate) struct Block {
    /// The page it is on, from the repository's root.
    pub(crate) page: String,
    /// The line of its fence.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) text: String,
    /// Why it is not run, if it says so.
    pub(crate) excuse: Option<String>,
}

impl Block {
    /// Whether it holds commands.
    pub(crate) fn is_run(&self) -> bool {
        ["sh", "console"].contains(&self.language.as_str())
    }

    /// Whether its language is one that is looked after.
    pub(crate) fn is_known(&self) -> bool {
        ["sh", "console", "text", "toml", "yaml", "json", "ini", "dockerfile", "nft", "diff", "mermaid"].contains(&self.language.as_str())
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page, from the root: those that stand there, and those of these folders.
pub(super) fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    markdown(root(), false, &mut pages);
    for folder in ["docs", "deploy", "certs", "examples"] {
        markdown(&root().join(folder), true, &mut pages);
    }
    let mut pages: Vec<String> = pages.iter().map(|page| page.strip_prefix(root()).unwrap().display().to_string()).collect();
    pages.sort();
    pages
}

fn markdown(folder: &Path, below: bool, pages: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if below && path.is_dir() {
            markdown(&path, below, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    read(page, &text)
}

/// The blocks of a page with this text.
pub(super) fn read(page: &str, text: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut excuse) = (Vec::<Block>::new(), false, None);
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if let (true, Some(block)) = (open, blocks.last_mut()) {
            open = !trimmed.starts_with("```");
            if open {
                block.text.push_str(line);
                block.text.push('\n');
            }
        } else if let Some(language) = trimmed.strip_prefix("```") {
            let language = language.trim().to_owned();
            blocks.push(Block { page: page.to_owned(), line: at + 1, language, text: String::new(), excuse: excuse.take() });
            open = true;
        } else if !trimmed.is_empty() {
            excuse = trimmed.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->")).map(str::to_owned);
        }
    }
    assert!(!open, "{page}: a block that does not end");
    for block in &mut blocks {
        block.text = block.text.trim().to_owned();
    }
    blocks
}
