//! Patterns of paths: `*`, `?` and `[a-z]` within one part of a path, `**` for any folders.
//!
//! A star that fails is only ever widened by one, and only the last one is: the work is bounded by the product of the two
//! lengths.

/// A pattern of paths.
pub(crate) struct Pattern(Vec<Part>);

enum Part {
    /// Any folders, also none.
    Folders,
    Named(Vec<Token>),
}

enum Token {
    Any,
    Many,
    One(char),
    OneOf { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Every text is a pattern: a bracket without its end stands for itself.
    pub(crate) fn parse(text: &str) -> Self {
        let part = |part: &str| if part == "**" { Part::Folders } else { Part::Named(tokens(part)) };
        Self(text.split('/').map(part).collect())
    }

    /// Whether a path in its normal form is one of the pattern's. As in a shell, and as readers of Hive and Spark folders
    /// do, what begins with `.` or `_`, or is in such a folder, is matched only where the pattern says so.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        let deep = |part: &Part| matches!(part, Part::Folders);
        wild(&self.0, &parts, deep, &|part| !is_hidden(part), &|part, text| match part {
            Part::Folders => false,
            Part::Named(tokens) => matches_name(tokens, text),
        })
    }
}

fn is_hidden(part: &str) -> bool {
    part.starts_with(['.', '_'])
}

fn matches_name(tokens: &[Token], text: &str) -> bool {
    let said =
        matches!((tokens.first(), text.chars().next()), (Some(Token::One(token)), Some(first)) if *token == first);
    if is_hidden(text) && !said {
        return false;
    }
    let characters: Vec<char> = text.chars().collect();
    wild(tokens, &characters, |token| matches!(token, Token::Many), &|_| true, &|token, c| token.matches(*c))
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::Many => false,
            Self::One(one) => *one == c,
            Self::OneOf { negated, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated,
        }
    }
}

/// Whether `items` are those of `pattern`, in which a star stands for any number of items that it may take.
fn wild<P, T>(
    pattern: &[P],
    items: &[T],
    is_star: impl Fn(&P) -> bool,
    may_take: &dyn Fn(&T) -> bool,
    matches: &dyn Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut item) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while item < items.len() {
        if pattern.get(at).is_some_and(&is_star) {
            star = Some((at, item));
            at += 1;
        } else if pattern.get(at).is_some_and(|part| matches(part, &items[item])) {
            (at, item) = (at + 1, item + 1);
        } else if let Some((star_at, taken)) = star.filter(|(_, taken)| may_take(&items[*taken])) {
            star = Some((star_at, taken + 1));
            (at, item) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(is_star)
}

fn tokens(part: &str) -> Vec<Token> {
    let characters: Vec<char> = part.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&c) = characters.get(at) {
        let class = (c == '[').then(|| class(&characters[at + 1..])).flatten();
        let (token, length) = match (c, class) {
            (_, Some((class, length))) => (class, length + 1),
            ('*', _) => (Token::Many, 1),
            ('?', _) => (Token::Any, 1),
            _ => (Token::One(c), 1),
        };
        tokens.push(token);
        at += length;
    }
    tokens
}

/// The class whose text follows a bracket, and the length of that text; a `]` that comes first is one of its characters.
fn class(text: &[char]) -> Option<(Token, usize)> {
    let negated = matches!(text.first(), Some('!' | '^'));
    let first = usize::from(negated);
    let end = first + 1 + text.get(first + 1..)?.iter().position(|c| *c == ']')?;
    let (mut ranges, mut rest) = (Vec::new(), &text[first..end]);
    while let [from, more @ ..] = rest {
        let (range, after) = match more {
            ['-', to, after @ ..] => ((*from, *to), after),
            _ => ((*from, *from), more),
        };
        ranges.push(range);
        rest = after;
    }
    Some((Token::OneOf { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let pattern = Pattern::parse(pattern);
        matching.iter().for_each(|path| assert!(pattern.matches(path), "{path}"));
        others.iter().for_each(|path| assert!(!pattern.matches(path), "{path}"));
    }

    #[test]
    fn stars_stay_within_one_part_of_a_path() {
        check("part-*.csv", &["part-1.csv", "part-.csv"], &["a/part-1.csv", "part-1.csv.gz", "xpart-1.csv"]);
        check("sales.csv/part-*", &["sales.csv/part-0", "sales.csv/part-1.csv"], &["sales.csv", "sales.csv/a/part-0"]);
        check("*/t?.csv", &["a/t1.csv", "b/té.csv"], &["t1.csv", "a/b/t1.csv", "a/t.csv"]);
    }

    #[test]
    fn two_stars_are_any_folders() {
        check("**/t.csv", &["t.csv", "a/t.csv", "a/b/t.csv"], &["at.csv", "a/t.csv/x"]);
        check("a/**/b/*.csv", &["a/b/1.csv", "a/x/y/b/1.csv", "a/b/b/1.csv"], &["b/1.csv", "a/1.csv"]);
        check("**", &["t.csv", "a/t.csv"], &["_a/t.csv"]);
    }

    #[test]
    fn classes_and_brackets_that_are_none() {
        check("t[0-9][!a].csv", &["t1b.csv"], &["t1a.csv", "tx1.csv"]);
        check("t[]x].csv", &["t].csv", "tx.csv"], &["t.csv"]);
        check("t[1.csv", &["t[1.csv"], &["t1.csv"]);
    }

    #[test]
    fn hidden_and_helper_files_need_to_be_said() {
        check("*", &["t.csv"], &["_SUCCESS", ".t.csv.crc"]);
        check("**/*.csv", &["a/t.csv"], &["__MACOSX/t.csv", "a/_temporary/t.csv", "a/._t.csv"]);
        check("_x/.*", &["_x/.t"], &["x/.t"]);
    }

    #[test]
    fn no_pattern_takes_long() {
        let (pattern, started) = (Pattern::parse(&format!("{}b", "*a".repeat(60))), Instant::now());
        assert!(!pattern.matches(&"a".repeat(250)));
        assert!(!Pattern::parse(&format!("{}b", "**/a/".repeat(40))).matches(&format!("{}a", "a/".repeat(120))));
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
