//! What one file declares, imports and names, read token by token.

use std::collections::BTreeSet;

use crate::tidy::rust::{self, is_name};

/// A file without its unit tests.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// Modules that are declared here and written in files of their own.
    pub(super) modules: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// Paths of two and more segments in the code.
    pub(super) paths: Vec<Vec<String>>,
    /// Types, functions and so on that are declared here.
    pub(super) items: BTreeSet<String>,
    /// Every name of the code outside of imports.
    pub(super) names: BTreeSet<String>,
}

/// One name that a `use` brings in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Import {
    /// The name in this file; `*` for all names below the path.
    pub(super) name: String,
    pub(super) path: Vec<String>,
    /// Whether it is passed on: `pub use`, `pub(crate) use`.
    pub(super) public: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    /// `::`
    Separator,
    Other(char),
}

const ITEMS: &[&str] = &["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

/// What may stand before the keyword of an item.
const PREFIXES: &[&str] = &["pub", "crate", "super", "in", "async", "const", "unsafe", "extern"];

pub(super) fn parse(text: &str) -> Parsed {
    let code = rust::split(text).code;
    let tokens = without_tests(&tokens(&code));
    let mut reader =
        Reader { tokens: &tokens, at: 0, depth: 0, inline: Vec::new(), parsed: Parsed::default() };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.parsed
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_name(first) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            tokens.push(Token::Name(&rest[..end]));
            end
        } else if rest.starts_with("::") {
            tokens.push(Token::Separator);
            2
        } else {
            tokens.push(Token::Other(first));
            first.len_utf8()
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Leaves out each item below `#[cfg(test)]`.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    use Token::{Name, Other};
    const CFG_TEST: [Token<'_>; 7] =
        [Other('#'), Other('['), Name("cfg"), Other('('), Name("test"), Other(')'), Other(']')];
    let mut kept = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(&CFG_TEST) {
            rest = &after[item_length(after)..];
        } else {
            kept.push(*first);
            rest = &rest[1..];
        }
    }
    kept
}

/// Up to the semicolon or the block that ends the item; what is no item, a field say, ends with a comma too.
fn item_length(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    let mut is_item = false;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Name(name) if depth == 0 => is_item |= begins_item(name),
            Token::Other('{' | '(' | '[') => depth += 1,
            Token::Other('}' | ')' | ']') if depth == 0 => return at,
            Token::Other('}') if depth == 1 => return at + 1,
            Token::Other('}' | ')' | ']') => depth -= 1,
            Token::Other(';') if depth == 0 => return at + 1,
            Token::Other(',') if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

fn begins_item(keyword: &str) -> bool {
    ITEMS.contains(&keyword) || matches!(keyword, "mod" | "use" | "impl")
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    depth: usize,
    /// At which depths modules are open that are written inside this file.
    inline: Vec<usize>,
    parsed: Parsed,
}

impl Reader<'_> {
    fn step(&mut self) {
        match self.tokens[self.at] {
            Token::Name("use") => self.import(),
            Token::Name("mod") => self.module(),
            Token::Name(_) => self.name(),
            token => {
                self.brace(token);
                self.at += 1;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<Token<'_>> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn brace(&mut self, token: Token<'_>) {
        match token {
            Token::Other('{') => self.depth += 1,
            Token::Other('}') => {
                self.depth = self.depth.saturating_sub(1);
                if self.inline.last() == Some(&self.depth) {
                    self.inline.pop();
                }
            }
            _ => {}
        }
    }

    fn module(&mut self) {
        if let (Some(Token::Name(name)), Some(Token::Other(end))) = (self.peek(1), self.peek(2)) {
            let name = name.to_owned();
            if end == ';' {
                self.parsed.modules.push(name);
            } else {
                self.parsed.items.insert(name);
                self.inline.push(self.depth);
            }
        }
        self.at += 2;
    }

    /// A name alone, or a path.
    fn name(&mut self) {
        let continues = self.at > 0 && self.tokens[self.at - 1] == Token::Separator;
        let mut path = Vec::new();
        while let Some(Token::Name(name)) = self.peek(0) {
            path.push(name.to_owned());
            self.at += 1;
            if !(self.peek(0) == Some(Token::Separator) && matches!(self.peek(1), Some(Token::Name(_)))) {
                break;
            }
            self.at += 1;
        }
        if let [keyword] = path.as_slice()
            && ITEMS.contains(&keyword.as_str())
        {
            let skip = usize::from(self.peek(0) == Some(Token::Other('!')));
            if let Some(Token::Name(name)) = self.peek(skip) {
                self.parsed.items.insert(name.to_owned());
            }
            return;
        }
        self.parsed.names.extend(path.first().cloned());
        if !continues && path.len() > 1 {
            self.parsed.paths.extend(self.seen_from_file(path));
        }
    }

    fn import(&mut self) {
        let before = self.tokens[..self.at].iter().rev();
        let public = before
            .take_while(|token| {
                matches!(token, Token::Other('(' | ')'))
                    || matches!(token, Token::Name(name) if PREFIXES.contains(name))
            })
            .any(|token| *token == Token::Name("pub"));
        self.at += 1;
        let mut found = Vec::new();
        self.tree(&[], &mut found);
        for (name, path) in found {
            let path = self.seen_from_file(path);
            self.parsed.imports.extend(path.map(|path| Import { name, path, public }));
        }
    }

    /// One branch of a `use`: a path, then a name, a list in braces or a star.
    fn tree(&mut self, prefix: &[String], found: &mut Vec<(String, Vec<String>)>) {
        let mut path = prefix.to_vec();
        loop {
            match self.peek(0) {
                Some(Token::Name("as")) => {
                    if let Some(Token::Name(name)) = self.peek(1) {
                        found.push((name.to_owned(), path));
                    }
                    self.at += 2;
                    return;
                }
                Some(Token::Name("self")) if !path.is_empty() => self.at += 1,
                Some(Token::Name(name)) => {
                    path.push(name.to_owned());
                    self.at += 1;
                }
                Some(Token::Separator) => self.at += 1,
                Some(Token::Other('*')) => {
                    self.at += 1;
                    found.push(("*".to_owned(), path));
                    return;
                }
                Some(Token::Other('{')) => return self.list(&path, found),
                _ => {
                    found.extend(path.last().cloned().map(|name| (name, path)));
                    return;
                }
            }
        }
    }

    fn list(&mut self, prefix: &[String], found: &mut Vec<(String, Vec<String>)>) {
        self.at += 1;
        while !matches!(self.peek(0), None | Some(Token::Other('}'))) {
            if self.peek(0) == Some(Token::Other(',')) {
                self.at += 1;
            } else {
                self.tree(prefix, found);
            }
        }
        self.at += 1;
    }

    /// The path as it would be written outside the modules that are open in this file; none if it stays inside.
    fn seen_from_file(&self, path: Vec<String>) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|segment| *segment == "super").count();
        match self.inline.len() {
            0 => Some(path),
            inline if supers > inline => Some(path[inline..].to_vec()),
            _ if path[0] == "super" || path[0] == "self" => None,
            _ => Some(path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let parsed = parse(text);
        let import = |it: &Import| {
            format!("{}{} = {}", if it.public { "pub " } else { "" }, it.name, it.path.join("::"))
        };
        parsed.imports.iter().map(import).collect()
    }

    #[test]
    fn a_use_is_one_import_per_name() {
        assert_eq!(
            imports("use crate::a::{self, b::{C, D as E}, *};\npub(crate) use super::F;"),
            ["a = crate::a", "C = crate::a::b::C", "E = crate::a::b::D", "* = crate::a", "pub F = super::F"]
        );
    }

    #[test]
    fn tests_are_left_out() {
        let text = "use a::A;\n#[cfg(test)]\nuse b::{B, C};\n#[cfg(test)]\nmod tests;\nmod d;\n\
                    enum E { #[cfg(test)] F(crate::g::G, u8), H(crate::i::I) }\n\
                    #[cfg(test)]\nmod more { use j::J; fn f() { k::l(); } }\nfn m() { n::o(); }";
        assert_eq!(imports(text), ["A = a::A"]);
        let parsed = parse(text);
        assert_eq!(parsed.modules, ["d"]);
        assert_eq!(parsed.paths, [vec!["crate", "i", "I"], vec!["n", "o"]]);
    }

    #[test]
    fn paths_begin_at_their_first_segment() {
        let parsed =
            parse("impl a::B for C { fn d() { e.f::<G>(); <H as I>::j(); K::<L>::m(); n::O::p() } }");
        assert_eq!(parsed.paths, [vec!["a", "B"], vec!["n", "O", "p"]]);
        assert!(parsed.items.contains("d") && parsed.names.contains("C"));
    }

    #[test]
    fn modules_inside_the_file_are_part_of_it() {
        let parsed =
            parse("mod a { use super::B; use super::super::C; fn d() { self::e(); } }\nuse super::F;");
        let paths: Vec<_> = parsed.imports.iter().map(|import| import.path.join("::")).collect();
        assert_eq!(paths, ["super::C", "super::F"]);
        assert_eq!(parsed.paths, Vec::<Vec<String>>::new());
    }
}
