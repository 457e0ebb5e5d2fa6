//! What a strategy says of itself in the comments at its head: what it is, what is expected, a counterexample.

/// The comments at the head of a file.
#[derive(Debug)]
pub struct Head {
    /// The verdict that it is written for.
    pub expectation: Expectation,
    /// A file of CREATE TABLEs, beside the strategy.
    pub schema: Option<String>,
    /// The picture of the smallest case in which it fails.
    pub counterexample: String,
    /// What begins a comment.
    mark: String,
    /// How many lines there are.
    lines: usize,
}

/// What is to become of a strategy.
#[derive(Debug, PartialEq, Eq)]
pub enum Expectation {
    /// All obligations hold.
    Proved,
    /// The codes of the obligations that do not hold.
    Refuted(Vec<String>),
    /// The message of a finding.
    Unreadable(String),
}

impl Head {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let first = text.split_whitespace().next().unwrap_or_default();
        let mark = ["--", "%", "#"]
            .into_iter()
            .find(|mark| first.starts_with(mark));
        let mark = mark.ok_or("its head must be a comment")?;
        let lines: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix(mark))
            .collect();
        let find = |key: &str| {
            lines
                .iter()
                .find_map(|line| line.trim().strip_prefix(key).map(str::trim))
        };
        let expected = find("expect:").ok_or("its head must say what to expect")?;
        let (word, rest) = expected.split_once(' ').unwrap_or((expected, ""));
        let expectation = match word {
            "proved" => Expectation::Proved,
            "refuted" => Expectation::Refuted(rest.split(' ').map(str::to_owned).collect()),
            "unreadable" => Expectation::Unreadable(rest.to_owned()),
            other => return Err(format!("nobody can expect \"{other}\"")),
        };
        let at = lines
            .iter()
            .position(|line| line.trim() == "counterexample:");
        let picture = lines.iter().skip(at.map_or(usize::MAX, |at| at + 1));
        let picture: Vec<&str> = picture
            .map(|line| line.strip_prefix("   ").unwrap_or(line))
            .collect();
        Ok(Self {
            expectation,
            schema: find("schema:").map(str::to_owned),
            counterexample: picture.join("\n"),
            mark: mark.to_owned(),
            lines: at.unwrap_or(lines.len()),
        })
    }

    /// The file with this counterexample at the end of its head.
    pub fn with_counterexample(&self, text: &str, picture: &str) -> String {
        let head: Vec<&str> = text.lines().take(self.lines).collect();
        let rest = text
            .lines()
            .skip(self.lines)
            .skip_while(|line| line.starts_with(&self.mark));
        let picture = picture
            .lines()
            .map(|line| format!("{}   {line}", self.mark).trim_end().to_owned());
        let title = format!("{} counterexample:", self.mark);
        let lines = head
            .into_iter()
            .map(str::to_owned)
            .chain([title])
            .chain(picture);
        let mut text = lines
            .chain(rest.map(str::to_owned))
            .collect::<Vec<_>>()
            .join("\n");
        text.push('\n');
        text
    }
}
