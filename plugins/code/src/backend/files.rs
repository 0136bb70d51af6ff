//! The files of the workspace: read, written, edited, and searched by name and by content.

use sandbox_plugin_api::prelude::*;

use super::Code;
use crate::answer::{Changed, Excerpt, Stored};
use crate::files::{self, Edited, Found, Matches};
use crate::session::Session;

#[tools(files)]
impl Code {
    /// Read lines of a text file in the workspace.
    #[tool(
        read_only,
        blocking,
        title = "Read a file",
        example = r#"{"file_path": "notes.txt", "offset": 1, "limit": 10}"#
    )]
    fn read(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// The number of the first line wanted; the file's first line is 1.
        #[default(1)]
        #[schemars(range(min = 1))]
        offset: u64,
        /// How many lines; all of them when left out.
        limit: Option<u64>,
    ) -> Result<Excerpt> {
        if offset == 0 {
            return Err(Error::param("/offset", "lines are counted from 1"));
        }
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        let most = usize::try_from(self.config.max_file_bytes.0).unwrap_or(usize::MAX);
        let limit = limit.unwrap_or(u64::MAX);
        let excerpt = files::read_lines(workspace.folder(), &place, offset, limit, most)
            .map_err(|fault| fault.at("/file_path"))?;
        let truncated = (excerpt.bytes.len() as u64) < excerpt.total_bytes;
        let whole = if truncated {
            sandbox_isolation::whole_characters(&excerpt.bytes)
        } else {
            excerpt.bytes.len()
        };
        Ok(Excerpt {
            content: String::from_utf8_lossy(&excerpt.bytes[..whole]).into_owned(),
            lines: excerpt.lines,
            total_lines: excerpt.total_lines,
            truncated,
            total_bytes: excerpt.total_bytes,
        })
    }

    /// Write a text file in the workspace. Folders on the way are made; what the file held before is replaced.
    #[tool(
        destructive,
        idempotent,
        blocking,
        title = "Write a file",
        example = r#"{"file_path": "data/numbers.csv", "content": "a,b\n1,2\n"}"#
    )]
    fn write(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// All that it is to hold.
        content: String,
    ) -> Result<Stored> {
        self.check_size("/content", content.len())?;
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        files::write(&workspace, &place, content.as_bytes(), false)
            .map_err(|fault| fault.at("/file_path"))?;
        Ok(Stored {
            path: place.shown(),
            bytes: content.len() as u64,
        })
    }

    /// Replace text in a file of the workspace. The old text must be there exactly once, so give enough of what stands
    /// around it, or ask for all places.
    #[tool(
        destructive,
        blocking,
        title = "Edit a file",
        example = r#"{"file_path": "notes.txt", "old_string": "first", "new_string": "1st"}"#
    )]
    fn edit(
        &self,
        session: &Session,
        /// The file's path in the workspace.
        file_path: String,
        /// The text to replace, exactly as it stands there.
        old_string: String,
        /// The text in its place.
        new_string: String,
        /// Replace it wherever it stands.
        #[default(false)]
        replace_all: bool,
    ) -> Result<Changed> {
        if old_string.is_empty() {
            return Err(Error::param(
                "/old_string",
                "it is empty; code:write makes a new file",
            ));
        }
        if old_string == new_string {
            return Err(Error::param(
                "/new_string",
                "it is the same as the old text",
            ));
        }
        let workspace = session.workspace()?;
        let place = session.place(&workspace, "/file_path", &file_path)?;
        let texts = [old_string.as_str(), new_string.as_str()];
        let limit = self.config.max_file_bytes.0;
        match files::edit(&workspace, &place, texts, replace_all, limit)
            .map_err(|fault| fault.at("/file_path"))?
        {
            Edited::Replaced(replacements) => Ok(Changed {
                path: place.shown(),
                replacements,
            }),
            Edited::Found(0) => Err(Error::param(
                "/old_string",
                "the file does not hold this text; read it and copy the text exactly",
            )),
            Edited::Found(count) => Err(Error::param(
                "/old_string",
                format!(
                    "the file holds this text {count} times; add what stands around it, or set replace_all"
                ),
            )),
        }
    }

    /// Find files of the workspace by their paths: `*.py`, `**/*.csv`, `src/{a,b}?.txt`.
    #[tool(
        read_only,
        blocking,
        title = "Find files",
        example = r#"{"pattern": "**/*.py"}"#
    )]
    fn glob(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The pattern: `*` and `?` stay within a folder, `**` goes through all.
        pattern: String,
        /// The folder that paths in the pattern start from; the workspace when left out.
        #[default(String::new())]
        path: String,
    ) -> Result<Found> {
        let workspace = session.workspace()?;
        let start = session.place(&workspace, "/path", &path)?;
        let limit = self.config.max_results;
        files::glob(workspace.folder(), &start, &pattern, limit, ctx)
    }

    /// Find lines in the text files of the workspace by a regular expression.
    #[tool(
        read_only,
        blocking,
        title = "Search in files",
        example = r#"{"pattern": "def \\w+", "glob": "*.py"}"#
    )]
    fn grep(
        &self,
        session: &Session,
        ctx: &CallContext,
        /// The regular expression, in Rust's syntax: no look-around, no back-references; `(?i)` ignores case.
        pattern: String,
        /// The file or folder to search; the workspace when left out.
        #[default(String::new())]
        path: String,
        /// Only files that this pattern names: `*.py` anywhere, `src/**/*.py` by their path.
        glob: Option<String>,
    ) -> Result<Matches> {
        let workspace = session.workspace()?;
        let start = session.place(&workspace, "/path", &path)?;
        let limit = self.config.max_results;
        files::grep(
            workspace.folder(),
            &start,
            &pattern,
            glob.as_deref(),
            limit,
            ctx,
        )
    }
}
