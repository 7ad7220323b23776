# Finds top-level functions, classes and imports that none of the given files uses. Parses the files, runs nothing.
import ast


def _dotted_strings(tree):
    # What `__all__` names is meant for others.
    for node in ast.walk(tree):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def _used_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            # An annotation in quotes, or a name given to getattr or to a mock.
            yield node.value
    yield from _dotted_strings(tree)


def _counts(names):
    counts = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _main():
    emit = _open_channel()
    trees = {}
    for file in sys.argv[1:]:
        try:
            with open(file, "rb") as source:
                trees[file] = ast.parse(source.read(), file)
        except (OSError, SyntaxError, ValueError) as error:
            emit(kind="unreadable", file=file, error=str(error))
    everywhere = _counts(name for tree in trees.values() for name in _used_names(tree))
    for file, tree in trees.items():
        here = _counts(_used_names(tree))
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                by_convention = node.name.lower().startswith("test") or node.name in ("main", "__getattr__", "__dir__")
                # What it says about itself, as in a recursion, is no use of it.
                outside = everywhere.get(node.name, 0) - _counts(_used_names(node)).get(node.name, 0)
                if not by_convention and not node.decorator_list and outside == 0:
                    emit(kind="dead", what=kind, file=file, name=node.name, line=node.lineno)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                if getattr(node, "module", "") == "__future__" or file.endswith("__init__.py"):
                    continue
                for alias in node.names:
                    name = alias.asname or alias.name.split(".")[0]
                    own = 1 if isinstance(node, ast.ImportFrom) and alias.name == name else 0
                    # `import x as x` says that it is meant for others.
                    if name != "*" and alias.asname != alias.name and here.get(name, 0) - own == 0:
                        emit(kind="dead", what="import", file=file, name=name, line=node.lineno)
    emit(kind="finished")
    _end(0)


_main()
