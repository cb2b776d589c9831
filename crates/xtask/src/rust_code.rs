//! Rust code: one source file, parsed, with the lines of what tidy asks about.
//! Promise: tokens hold no comment and no text of a literal's meaning, so a word in prose is never code.
//! Not here: the rules (`tidy`).

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// What kind of token; groups are flattened into `Open` and `Close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A name or keyword.
    Word,
    /// One character of punctuation.
    Mark,
    /// A string, number or character.
    Literal,
    /// The start of a bracketed group.
    Open,
    /// The end of a bracketed group.
    Close,
}

/// One token with its line.
#[derive(Clone, Debug)]
pub struct Token {
    /// What kind.
    pub kind: TokenKind,
    /// As written.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
}

/// First and last line of something, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// First line, from 1.
    pub first: usize,
    /// Last line.
    pub last: usize,
}

impl Lines {
    /// How many lines.
    pub fn count(self) -> usize {
        self.last + 1 - self.first
    }

    /// Whether `line` is one of them.
    pub fn hold(self, line: usize) -> bool {
        (self.first..=self.last).contains(&line)
    }
}

/// The clock that a function's attributes give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// An async test with `start_paused = true`: a sleep takes no time.
    Paused,
    /// An async test on real time.
    Running,
    /// No async test: its callers' clock.
    Callers,
}

/// A function with a body.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// From `fn` to the closing brace.
    pub lines: Lines,
    /// Which clock it runs on, as far as its attributes say.
    pub clock: Clock,
}

/// A type or module that the file names.
#[derive(Clone, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Line of the name.
    pub line: usize,
}

/// One parsed file.
#[derive(Clone, Debug, Default)]
pub struct RustCode {
    /// All tokens, in order.
    pub tokens: Vec<Token>,
    /// All functions with a body, nested ones too.
    pub functions: Vec<Function>,
    /// The `#[cfg(test)] mod x { .. }` blocks.
    pub test_modules: Vec<Lines>,
    /// Types, traits and modules.
    pub names: Vec<Named>,
}

impl RustCode {
    /// Parses one file; the error is (line, message).
    pub fn parse(text: &str) -> Result<Self, (usize, String)> {
        let lexed: TokenStream = text.parse().map_err(|error: proc_macro2::LexError| {
            (error.span().start().line, error.to_string())
        })?;
        let mut code = Self::default();
        flatten(lexed.clone(), &mut code.tokens);
        let file: syn::File =
            syn::parse2(lexed).map_err(|error| (error.span().start().line, error.to_string()))?;
        code.visit_file(&file);
        Ok(code)
    }

    /// The innermost function around `line`.
    pub fn function_at(&self, line: usize) -> Option<&Function> {
        let around = self
            .functions
            .iter()
            .filter(|function| function.lines.hold(line));
        around.min_by_key(|function| function.lines.count())
    }

    /// The clock at `line`; a function that tests call has theirs, if they all have the same.
    pub fn clock_at(&self, line: usize) -> Clock {
        let own = self
            .function_at(line)
            .map_or(Clock::Callers, |function| function.clock);
        let has = |clock: Clock| {
            self.functions
                .iter()
                .any(|function| function.clock == clock)
        };
        match own {
            Clock::Callers if has(Clock::Paused) && !has(Clock::Running) => Clock::Paused,
            own => own,
        }
    }

    /// Whether `line` lies in a test module of this file.
    pub fn in_test_module(&self, line: usize) -> bool {
        self.test_modules.iter().any(|lines| lines.hold(line))
    }

    /// Lines at which the texts in `pattern` follow one another.
    pub fn lines_of(&self, pattern: &[&str]) -> Vec<usize> {
        let same = |window: &&[Token]| {
            window
                .iter()
                .map(|token| token.text.as_str())
                .eq(pattern.iter().copied())
        };
        self.tokens
            .windows(pattern.len())
            .filter(same)
            .map(|window| window[0].line)
            .collect()
    }

    fn add_function(&mut self, sig: &syn::Signature, attrs: &[syn::Attribute], body: &syn::Block) {
        let lines = Lines {
            first: sig.fn_token.span.start().line,
            last: body.brace_token.span.close().end().line,
        };
        self.functions.push(Function {
            name: sig.ident.to_string(),
            lines,
            clock: clock_of(attrs),
        });
    }

    fn add_name(&mut self, ident: &syn::Ident) {
        self.names.push(Named {
            name: ident.to_string(),
            line: ident.span().start().line,
        });
    }
}

impl<'a> Visit<'a> for RustCode {
    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        self.add_function(&item.sig, &item.attrs, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        self.add_function(&item.sig, &item.attrs, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add_function(&item.sig, &item.attrs, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        self.add_name(&item.ident);
        if let (Some((brace, _)), true) = (&item.content, item.attrs.iter().any(is_cfg_test)) {
            let first = item.mod_token.span.start().line;
            self.test_modules.push(Lines {
                first,
                last: brace.span.close().end().line,
            });
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_struct(&mut self, item: &'a syn::ItemStruct) {
        self.add_name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'a syn::ItemEnum) {
        self.add_name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'a syn::ItemTrait) {
        self.add_name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'a syn::ItemType) {
        self.add_name(&item.ident);
        visit::visit_item_type(self, item);
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => push(tokens, TokenKind::Word, word.to_string(), line),
            TokenTree::Punct(mark) => {
                push(tokens, TokenKind::Mark, mark.as_char().to_string(), line)
            }
            TokenTree::Literal(literal) => {
                push(tokens, TokenKind::Literal, literal.to_string(), line)
            }
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                push(tokens, TokenKind::Open, open.to_owned(), line);
                flatten(group.stream(), tokens);
                push(
                    tokens,
                    TokenKind::Close,
                    close.to_owned(),
                    group.span_close().end().line,
                );
            }
        }
    }
}

fn push(tokens: &mut Vec<Token>, kind: TokenKind, text: String, line: usize) {
    tokens.push(Token { kind, text, line });
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Reads `#[tokio::test(start_paused = true)]` and its like.
fn clock_of(attrs: &[syn::Attribute]) -> Clock {
    let mut async_tests = attrs.iter().filter(|attr| {
        let segments = &attr.path().segments;
        segments.len() > 1 && segments.last().is_some_and(|last| last.ident == "test")
    });
    match async_tests.next() {
        None => Clock::Callers,
        Some(attr) if starts_paused(attr) => Clock::Paused,
        Some(_) => Clock::Running,
    }
}

fn starts_paused(attr: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attr.meta else {
        return false;
    };
    list.tokens
        .to_string()
        .replace(' ', "")
        .contains("start_paused=true")
}

fn is_cfg_test(attr: &syn::Attribute) -> bool {
    let syn::Meta::List(list) = &attr.meta else {
        return false;
    };
    let names_test = |tree: TokenTree| matches!(tree, TokenTree::Ident(word) if word == "test");
    list.path.is_ident("cfg") && list.tokens.clone().into_iter().any(names_test)
}
