//! Finds the module of a result that is a program.

/// The dotted name of the module that is a program: Python's `__main__`, or else a module that does something
/// when it is run. Of several, one named after the package, or else the last, which may use the others.
pub(super) fn program(paths: &[&str], read: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let is_program = |path: &&&str| {
        let begins = |line: &str| line.starts_with("if __name__ ==");
        read(path).is_some_and(|text| text.lines().any(begins))
    };
    let code = || paths.iter().filter(|path| !path.starts_with("tests/"));
    let stem = |path: &str| {
        let path = path.strip_suffix(".py")?;
        Some(path.rsplit('/').next().unwrap_or(path).to_owned())
    };
    let is_main =
        |path: &&&str| stem(path).is_some_and(|stem| stem == "__main__") && path.contains('/');
    let is_named = |path: &&&str| {
        let names = ["cli", "main", "app"];
        stem(path).is_some_and(|stem| names.contains(&stem.as_str()))
    };
    let path = code()
        .find(is_main)
        .or_else(|| code().filter(is_program).find(is_named))
        .or_else(|| code().rfind(is_program))?;
    let module = path.strip_suffix(".py")?.replace('/', ".");
    let module = module.strip_suffix(".__main__").unwrap_or(&module);
    Some(module.to_owned())
}
