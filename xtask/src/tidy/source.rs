//! The rules about one Rust file: size, header, function length, ignored tests, unsafe, purity.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::{Violation, names, unsafe_files, words};

/// A file aims at this many lines.
const FILE_LINES_AIM: usize = 400;
/// A file never has more.
const FILE_LINES_MAX: usize = 800;
/// A function never has more, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Packages that decide and do not act: no file, socket, clock or thread outside their tests.
const PURE: [&str; 5] =
    ["crates/record/", "crates/sched/", "crates/metadata/", "crates/coordinator/", "crates/wire/"];

/// What a pure package does not name, as the ends of paths.
const EFFECTS: [&[&str]; 8] = [
    &["std", "fs"],
    &["std", "net"],
    &["std", "thread"],
    &["std", "env"],
    &["std", "process"],
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["fs", "File"],
];

/// Every violation in the file `path` (relative to the workspace) with this text.
pub(crate) fn check(path: &str, text: &str) -> Vec<Violation> {
    let mut found = words::check(path, text);
    found.extend(names::check_path(path));
    found.extend(size(path, text));
    match syn::parse_file(text) {
        Err(error) => {
            let line = error.span().start().line;
            found.push(Violation::new(path, line, "header", format!("it does not parse: {error}")));
        }
        Ok(file) => {
            if !file.attrs.iter().any(|attribute| attribute.path().is_ident("doc")) {
                let what = "it does not begin with `//!`: say what the module owns";
                found.push(Violation::new(path, 1, "header", what));
            }
            let mut reader = Reader { path, found: Vec::new(), in_tests: is_test_file(path) };
            reader.visit_file(&file);
            found.extend(reader.found);
        }
    }
    found
}

fn size(path: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        let what = format!("{lines} lines, at most {FILE_LINES_MAX}: split by concept");
        return Some(Violation::new(path, 0, "size", what));
    }
    if lines > FILE_LINES_AIM {
        let what = format!("{lines} lines, aim at {FILE_LINES_AIM}");
        let warning = true;
        return Some(Violation { warning, ..Violation::new(path, 0, "size", what) });
    }
    None
}

fn is_test_file(path: &str) -> bool {
    path.contains("/tests/")
        || path.ends_with("/tests.rs")
        || path.contains("/benches/")
        || path.contains("/examples/")
        || path.starts_with("tests/")
}

struct Reader<'a> {
    path: &'a str,
    found: Vec<Violation>,
    /// Inside `#[cfg(test)]`, or in a file that only tests hold.
    in_tests: bool,
}

impl Reader<'_> {
    fn report(&mut self, line: usize, rule: &'static str, what: impl Into<String>) {
        self.found.push(Violation::new(self.path, line, rule, what));
    }

    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            let name = &signature.ident;
            let what = format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}");
            self.report(first, "size", what);
        }
        if signature.unsafety.is_some() {
            self.unsafety(first);
        }
    }

    fn unsafety(&mut self, line: usize) {
        if !unsafe_files::allowed(self.path) {
            let what = "unsafe in a file that is not in xtask/src/tidy/unsafe_files.rs";
            self.report(line, "unsafe", what);
        }
    }

    fn type_name(&mut self, ident: &syn::Ident) {
        let name = ident.to_string();
        if let Some(what) = names::check_type(&name) {
            self.report(ident.span().start().line, "name", what);
        }
    }

    fn effect(&mut self, line: usize, segments: &[String]) {
        if self.in_tests || !PURE.iter().any(|pure| self.path.starts_with(pure)) {
            return;
        }
        let named =
            |effect: &&[&str]| segments.windows(effect.len()).any(|window| *window == **effect);
        if let Some(effect) = EFFECTS.iter().find(|effect| named(effect)) {
            let what = format!("{} in a package without I/O and clock", effect.join("::"));
            self.report(line, "purity", what);
        }
    }

    /// The paths that a `use` tree names, flattened.
    fn use_tree(&mut self, tree: &syn::UseTree, before: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.use_tree(&path.tree, before);
                before.pop();
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.use_tree(item, before));
            }
            syn::UseTree::Name(name) => {
                before.push(name.ident.to_string());
                self.effect(name.span().start().line, before);
                before.pop();
            }
            syn::UseTree::Rename(rename) => {
                before.push(rename.ident.to_string());
                self.effect(rename.span().start().line, before);
                before.pop();
            }
            syn::UseTree::Glob(glob) => self.effect(glob.span().start().line, before),
        }
    }
}

fn is_test_configuration(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let before = self.in_tests;
        self.in_tests |= item.attrs.iter().any(is_test_configuration);
        visit::visit_item_mod(self, item);
        self.in_tests = before;
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("ignore") {
            let line = attribute.span().start().line;
            let what = "no test is ignored: assert the wrong behaviour with a comment instead";
            self.report(line, "ignore", what);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_unsafe(&mut self, item: &'ast syn::ExprUnsafe) {
        self.unsafety(item.span().start().line);
        visit::visit_expr_unsafe(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if item.unsafety.is_some() {
            self.unsafety(item.span().start().line);
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.type_name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.type_name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.type_name(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.type_name(&item.ident);
        visit::visit_item_type(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &mut Vec::new());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.effect(path.span().start().line, &segments);
        visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that a file breaks, warnings included.
    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        let mut rules: Vec<_> = check(path, text).into_iter().map(|one| one.rule).collect();
        rules.dedup();
        rules
    }

    const NEUTRAL: &str = "crates/broker/src/neutral.rs";
    const PURE_FILE: &str = "crates/record/src/offset.rs";

    #[test]
    fn a_short_file_with_a_header_is_in_order() {
        assert_eq!(check(NEUTRAL, "//! Owns nothing.\nfn f() {}\n"), []);
    }

    #[test]
    fn a_file_without_a_header_is_caught() {
        assert_eq!(rules(NEUTRAL, "fn f() {}\n"), ["header"]);
        assert_eq!(rules(NEUTRAL, "// Not a doc comment.\nfn f() {}\n"), ["header"]);
    }

    #[test]
    fn an_included_readme_is_a_header() {
        assert_eq!(check(NEUTRAL, "#![doc = include_str!(\"../README.md\")]\n"), []);
    }

    #[test]
    fn a_file_that_does_not_parse_is_caught() {
        assert_eq!(rules(NEUTRAL, "//! Header.\nfn f( {}\n"), ["header"]);
    }

    #[test]
    fn a_long_file_warns_and_a_too_long_one_fails() {
        let lines =
            |count: usize| format!("//! Header.\n{}", "const _: () = ();\n".repeat(count - 1));
        assert_eq!(check(NEUTRAL, &lines(400)), []);
        let warned = check(NEUTRAL, &lines(401));
        assert!(warned.len() == 1 && warned[0].warning);
        assert!(check(NEUTRAL, &lines(800))[0].warning);
        assert!(!check(NEUTRAL, &lines(801))[0].warning);
    }

    #[test]
    fn a_function_of_81_lines_is_caught_wherever_it_stands() {
        let body = |lines: usize| format!("fn f() {{\n{}}}", "    let _ = 1;\n".repeat(lines - 2));
        assert_eq!(check(NEUTRAL, &format!("//! H.\n{}\n", body(80))), []);
        assert_eq!(rules(NEUTRAL, &format!("//! H.\n{}\n", body(81))), ["size"]);
        assert_eq!(rules(NEUTRAL, &format!("//! H.\nimpl T {{\n{}\n}}\n", body(81))), ["size"]);
        assert_eq!(rules(NEUTRAL, &format!("//! H.\ntrait T {{\n{}\n}}\n", body(81))), ["size"]);
    }

    #[test]
    fn an_ignored_test_is_caught() {
        let text = "//! H.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n";
        assert_eq!(rules(NEUTRAL, text), ["ignore"]);
    }

    #[test]
    fn unsafe_outside_the_list_is_caught_in_every_form() {
        for code in ["fn f() { unsafe { g() } }", "unsafe fn f() {}", "unsafe impl Send for T {}"] {
            let text = format!("//! H.\n{code}\n");
            assert_eq!(rules(NEUTRAL, &text), ["unsafe"], "{code}");
            assert_eq!(check("crates/buf/src/block.rs", &text), [], "{code}");
        }
    }

    #[test]
    fn the_word_unsafe_in_a_string_or_comment_is_nothing() {
        assert_eq!(check(NEUTRAL, "//! unsafe\nconst S: &str = \"unsafe { }\";\n"), []);
    }

    #[test]
    fn effects_in_a_pure_package_are_caught() {
        for code in [
            "use std::fs;",
            "use std::{fs::File, io};",
            "use std::time::Instant; fn f() { Instant::now(); }",
            "fn f() { std::thread::sleep(d); }",
            "fn f() -> std::net::TcpStream { g() }",
        ] {
            let text = format!("//! H.\n{code}\n");
            assert_eq!(rules(PURE_FILE, &text), ["purity"], "{code}");
            assert_eq!(check(NEUTRAL, &text), [], "{code}");
        }
    }

    #[test]
    fn tests_of_a_pure_package_may_act() {
        let text = "//! H.\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        assert_eq!(check(PURE_FILE, text), []);
        assert_eq!(check("crates/record/tests/golden.rs", "//! H.\nuse std::fs;\n"), []);
    }

    #[test]
    fn banned_type_names_are_caught() {
        for code in
            ["struct LogManager;", "enum PathHelper {}", "trait StoreImpl {}", "type Utils = u8;"]
        {
            assert_eq!(rules(NEUTRAL, &format!("//! H.\n{code}\n")), ["name"], "{code}");
        }
        assert_eq!(check(NEUTRAL, "//! H.\nstruct Implied;\nstruct Manage;\n"), []);
    }
}
