//! Reading Rust source as far as tests of the project need it.

/// The code alone: comments and what stands in string and character literals become spaces, lines stay lines.
pub(crate) fn code_of(source: &str) -> String {
    let letters: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < letters.len() {
        let end = literal_or_comment(&letters, at);
        if end > at {
            code.extend(letters[at..end].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            code.push(letters[at]);
            at += 1;
        }
    }
    code
}

/// Where the literal or comment that begins here ends; the same place where none begins.
fn literal_or_comment(letters: &[char], at: usize) -> usize {
    let letter = |index: usize| letters.get(index).copied().unwrap_or('\0');
    let find = |from: usize, end: &dyn Fn(usize) -> bool| {
        (from..letters.len()).find(|index| end(*index)).unwrap_or(letters.len())
    };
    match (letter(at), letter(at + 1)) {
        ('/', '/') => find(at, &|index| letter(index) == '\n'),
        ('/', '*') => {
            let mut depth = 0;
            let mut index = at;
            while index < letters.len() {
                match (letter(index), letter(index + 1)) {
                    ('/', '*') => (depth, index) = (depth + 1, index + 2),
                    ('*', '/') => (depth, index) = (depth - 1, index + 2),
                    _ => index += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            index
        }
        ('r', '"' | '#') if at == 0 || !is_word(letter(at - 1)) || letter(at - 1) == 'b' => {
            let hashes = find(at + 1, &|index| letter(index) != '#') - at - 1;
            if letter(at + 1 + hashes) != '"' {
                return at;
            }
            let closes =
                |index: usize| letter(index) == '"' && (1..=hashes).all(|hash| letter(index + hash) == '#');
            (find(at + 2 + hashes, &closes) + 1 + hashes).min(letters.len())
        }
        ('"', _) => {
            let mut index = at + 1;
            while index < letters.len() && letter(index) != '"' {
                index += if letter(index) == '\\' { 2 } else { 1 };
            }
            (index + 1).min(letters.len())
        }
        ('\'', '\\') => find(at + 3, &|index| letter(index) == '\'') + 1,
        ('\'', _) if letter(at + 2) == '\'' => at + 3,
        _ => at,
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The places where a word stands in code, as byte offsets.
pub(crate) fn word_at<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Tells whether a word stands in code.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    word_at(code, word).next().is_some()
}

/// The first names of all paths that begin with a word, such as `crate`: groups in braces are opened.
pub(crate) fn paths_from(code: &str, first: &str) -> Vec<String> {
    let mut names = Vec::new();
    for at in word_at(code, first) {
        let Some(rest) = code[at + first.len()..].trim_start().strip_prefix("::") else { continue };
        let rest = rest.trim_start();
        match rest.strip_prefix('{') {
            Some(group) => names.extend(names_in_group(group)),
            None => names.push(name_at(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The first name of each entry of a group, which begins behind its brace.
fn names_in_group(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut begins) = (0, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && is_word(letter) => {
                names.push(name_at(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|letter| is_word(*letter)).collect()
}

mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        let source = "a /* b /* c */ d */ e // f\n\"g \\\" h\" r#\"i \" j\"# 'k' '\\'' &'l m b\"n\"";
        let words: Vec<String> = code_of(source).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["a", "e", "&'l", "m", "b"]);
        assert_eq!(code_of("\"a\nb\"\nc").lines().count(), 3);
    }

    #[test]
    fn the_modules_of_nested_imports_are_found() {
        let code = "use crate::{error::{Error, Kind}, id, record::Record}; fn f(x: crate::text::Bytes) {}";
        assert_eq!(paths_from(code, "crate"), ["error", "id", "record", "text"]);
        assert!(!has_word("unsafe_code", "unsafe") && has_word("x unsafe{", "unsafe"));
    }
}
