//! Secret: reads texts that lie in files, each time anew.

use std::fs;

use scrape::http_options::Text;

use crate::words;

/// Most bytes of a file that holds a secret or certificates. The system's bundle has 220 kB.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// The text, white space around it removed when it comes from a file.
///
/// # Errors
/// The file cannot be read, in upstream's words.
pub fn read(text: &Text) -> Result<String, String> {
    let path = match text {
        Text::Inline(text) => return Ok(text.0.clone()),
        Text::File(path) => path,
    };
    let place = path.display();
    let failed = |cause: String| format!("unable to read file {place}: {cause}");
    let open = |cause| failed(format!("open {place}: {}", words::system(&cause)));
    let bytes = fs::metadata(path).map_err(open)?.len();
    if FILE_BYTES_MAX < bytes {
        return Err(failed(format!("longer than {FILE_BYTES_MAX} bytes")));
    }
    let text = fs::read_to_string(path).map_err(open)?;
    Ok(text.trim().to_owned())
}

/// What errors call the text: `inline`, or `file /path`.
#[must_use]
pub fn description(text: &Text) -> String {
    match text {
        Text::Inline(_) => "inline".to_owned(),
        Text::File(path) => format!("file {}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_trimmed_bounded_and_named_when_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let text = Text::File(path.clone());
        let place = path.display();
        let missing =
            format!("unable to read file {place}: open {place}: no such file or directory");
        assert_eq!(read(&text), Err(missing));
        fs::write(&path, " secret\r\n\n").unwrap();
        assert_eq!(read(&text).as_deref(), Ok("secret"));
        fs::write(&path, vec![b'a'; (1 << 20) + 1]).unwrap();
        assert!(read(&text).unwrap_err().ends_with("longer than 1048576 bytes"));
        assert_eq!(read(&Text::inline(" as it is ")).as_deref(), Ok(" as it is "));
    }
}
