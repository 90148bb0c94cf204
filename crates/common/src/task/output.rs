//! The one way to stdout, so that nothing follows the closing line and no two lines mix.

use std::{
    fmt::Display,
    io::{self, Write as _},
    sync::{Mutex, PoisonError},
};

static CLOSED: Mutex<bool> = Mutex::new(false);

/// Prints what a command shows (`list`, `status`, `check`), before the closing line.
///
/// A reader that went away is no error: it has seen what it wanted.
pub fn print(line: impl Display) {
    write_line(&line.to_string());
}

/// One line, at once; nothing once the closing line is out.
pub(super) fn write_line(line: &str) {
    let closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*closed {
        write(line).ok();
    }
}

/// Writes the closing line and shuts stdout to everything after it.
pub(super) fn close(line: &str) -> io::Result<()> {
    let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    if std::mem::replace(&mut *closed, true) {
        return Ok(());
    }
    write(line)
}

fn write(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
