//! Which program a process is: its executable, and the script where that is an interpreter.
//!
//! `python3 -u run_shim.py --port 1` and `python3 run_shim.py --port 2` are one program; `node a.js` and `node b.js` are
//! two, although both run the same file.

use crate::text::arguments;

/// What an interpreter was told to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// A file, as it was named.
    File(Vec<u8>),
    /// A module by name, or a piece of code, with the option that said so.
    Told(Vec<u8>),
    /// Nothing: it is a program of its own, or reads what to do from its input.
    None,
}

/// An interpreter: how its file is called, options after which a word follows that is no script, and options that are
/// followed by what is run in place of a script.
struct Interpreter {
    names: &'static [&'static str],
    with_word: &'static [&'static str],
    runs: &'static [&'static str],
}

const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &["python", "pypy"],
        with_word: &["-W", "-X", "--check-hash-based-pycs"],
        runs: &["-m", "-c"],
    },
    Interpreter {
        names: &["node", "nodejs", "bun", "deno", "tsx", "ts-node"],
        with_word: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--env-file",
        ],
        runs: &["-e", "--eval", "-p", "--print"],
    },
    Interpreter {
        names: &["sh", "bash", "dash", "zsh", "ksh", "busybox", "ash"],
        with_word: &["-o", "-O"],
        runs: &["-c"],
    },
    Interpreter { names: &["perl"], with_word: &["-I"], runs: &["-e", "-E"] },
    Interpreter { names: &["ruby"], with_word: &["-I", "-r"], runs: &["-e"] },
    Interpreter { names: &["php"], with_word: &["-c", "-d"], runs: &["-r"] },
    Interpreter { names: &["java"], with_word: &["-cp", "-classpath", "--class-path"], runs: &["-jar"] },
];

/// Tells what an interpreter was told to run. `exe` is its file, `cmdline` its argument vector as the kernel keeps it.
///
/// A version at the end of its name does not count: `python3.11` is python.
pub fn script(exe: &[u8], cmdline: &[u8]) -> Script {
    let name = exe.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.' || *byte == b'-';
    let end = name.iter().rposition(|byte| !version(byte)).map_or(0, |last| last + 1);
    let is = |known: &&str| known.as_bytes() == &name[..end];
    let Some(interpreter) = INTERPRETERS.iter().find(|one| one.names.iter().any(is)) else {
        return Script::None;
    };
    let one_of = |words: &[&str], word: &[u8]| words.iter().any(|known| known.as_bytes() == word);
    let mut words = arguments(cmdline).skip(1);
    while let Some(word) = words.next() {
        if one_of(interpreter.runs, word) {
            return words.next().map_or(Script::None, |what| Script::Told([word, b" ", what].concat()));
        }
        if one_of(interpreter.with_word, word) {
            words.next();
        } else if word == b"--" {
            return words.next().map_or(Script::None, |file| Script::File(file.to_vec()));
        } else if !word.starts_with(b"-") && !word.is_empty() {
            return Script::File(word.to_vec());
        }
    }
    Script::None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(exe: &str, line: &str) -> Script {
        script(exe.as_bytes(), format!("{}\0", line.replace(' ', "\0")).as_bytes())
    }

    #[test]
    fn the_first_word_that_is_no_option_is_the_script() {
        let file = |name: &str| Script::File(name.into());
        assert_eq!(
            of("/usr/bin/python3.11", "python3 -u -W error run_shim.py --port 1"),
            file("run_shim.py")
        );
        assert_eq!(
            of("/usr/bin/node", "node --inspect -r ./hook.cjs /srv/vite.js --port 1"),
            file("/srv/vite.js")
        );
        assert_eq!(of("/usr/bin/bash", "bash -eu -o pipefail start.sh"), file("start.sh"));
        assert_eq!(of("/usr/bin/node", "node -- -odd.js"), file("-odd.js"));
    }

    #[test]
    fn a_module_or_a_piece_of_code_stands_in() {
        let told = |what: &str| Script::Told(what.into());
        assert_eq!(of("/usr/bin/python3", "python3 -m uvicorn app:app --reload"), told("-m uvicorn"));
        assert_eq!(of("/bin/sh", "sh -c exit"), told("-c exit"));
        assert_eq!(of("/usr/bin/java", "java -Xmx1g -jar server.jar"), told("-jar server.jar"));
    }

    #[test]
    fn what_is_no_interpreter_runs_no_script() {
        for (exe, line) in
            [("/usr/sbin/nginx", "nginx -g daemon"), ("/bin/bash", "-bash"), ("/bin/sh", "sh -c"), ("", "")]
        {
            assert_eq!(of(exe, line), Script::None, "{line}");
        }
    }
}
