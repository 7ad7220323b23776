//! Assembles the graph: creates the nodes, and links them by the names in code and in prose.
//!
//! Names in code are resolved as Python does: imports first, then definitions of the file. For a method call only the
//! method's name is known, so it is linked to all classes that have such a method, unless there are many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use journeyman_event::payload::CodeOrigin;
use journeyman_event::{Sequence, VectorClock};
use journeyman_syntax::{ImportedName, Item, ItemKind, Outline};
use petgraph::graph::{DiGraph, NodeIndex};

use crate::graph::Graph;
use crate::node::{Kind, Link, Missing, Node, NodeId, Relation};
use crate::projection::{Failure, Knowledge, Module, Suite, TestName, Told, cut};

/// The most nodes of a graph.
const NODES_MAX: usize = 200_000;
/// The most characters of a summary.
const SUMMARY_CHARS_MAX: usize = 2_000;
/// A name with more definitions than this is common.
const COMMON_MIN: usize = 5;
/// A name of several words and at least so many characters is distinctive.
const TELLING_CHARS_MIN: usize = 8;
/// The shortest name that counts as a mention in prose without call brackets.
const MENTION_CHARS_MIN: usize = 4;

/// Assembles the graph.
pub(crate) fn assemble(known: &Knowledge) -> Graph {
    let mut builder = Builder::default();
    builder.place_nodes(known);
    builder.link_task(known);
    builder.link_code(known);
    builder.link_tests(known);
    builder.link_failures(known);
    builder.link_told(known);
    builder.finish()
}

#[derive(Default)]
struct Builder<'k> {
    inner: DiGraph<Node, Link>,
    places: HashMap<NodeId, NodeIndex>,
    /// The items of each module, in outline order.
    items: HashMap<&'k str, Vec<NodeIndex>>,
    /// Top-level functions and classes by module and name.
    defined: HashMap<(&'k str, &'k str), NodeIndex>,
    /// Top-level functions and classes by name.
    by_name: HashMap<&'k str, Vec<NodeIndex>>,
    /// Methods by class and name, and by name alone.
    methods: HashMap<(NodeIndex, &'k str), NodeIndex>,
    methods_by_name: HashMap<&'k str, Vec<NodeIndex>>,
    links: HashMap<(NodeIndex, NodeIndex, Relation), (u32, f64)>,
    missing: BTreeSet<(NodeId, Relation, NodeId)>,
    left_out: usize,
}

/// What a name in code refers to.
enum Meaning {
    Node(NodeIndex),
    /// A module; the next part of a chain is a name in it.
    Module(Arc<str>),
    Nothing,
}

/// A file whose names are resolved.
struct File<'k> {
    /// The module of the file; `None` for tests.
    module: Option<&'k str>,
    outline: &'k Outline,
    imports: HashMap<&'k str, &'k ImportedName>,
    stars: Vec<&'k ImportedName>,
}

impl<'k> File<'k> {
    fn new(module: Option<&'k str>, outline: &'k Outline) -> Self {
        let mut imports = HashMap::new();
        let mut stars = Vec::new();
        for import in &outline.imports {
            if import.bound == "*" {
                stars.push(import);
            } else {
                imports.insert(import.bound.as_str(), import);
            }
        }
        Self {
            module,
            outline,
            imports,
            stars,
        }
    }
}

impl<'k> Builder<'k> {
    // Nodes.

    fn put(&mut self, node: Node) -> Option<NodeIndex> {
        if let Some(&place) = self.places.get(&node.id) {
            return Some(place);
        }
        if self.inner.node_count() >= NODES_MAX {
            self.left_out += 1;
            return None;
        }
        let id = node.id.clone();
        let place = self.inner.add_node(node);
        self.places.insert(id, place);
        Some(place)
    }

    fn place_nodes(&mut self, known: &'k Knowledge) {
        if let Some(task) = &known.task {
            self.put(node_of(Kind::Task, task));
        }
        for (name, module) in &known.modules {
            self.put(node_of_module(name, module));
        }
        for (name, module) in &known.modules {
            self.place_items(name, module);
        }
        let mut suites: Vec<(&Arc<str>, &Suite)> = known.given.iter().collect();
        suites.extend(known.modules.iter().filter_map(|(name, module)| {
            let suite = module.generated.as_ref()?;
            Some((name, suite))
        }));
        for (suite, tests) in suites {
            for name in tests_in(tests.text.outline()) {
                let name = TestName {
                    suite: Arc::clone(suite),
                    name,
                };
                self.put(node_of_test(known, &name, Some(tests)));
            }
        }
        for name in known.tests.keys() {
            self.put(node_of_test(known, name, None));
        }
        for (name, module) in &known.modules {
            for (&version, attempt) in &module.attempts {
                let tests = match attempt.tests {
                    Some((passed, all)) => format!("{passed} of {all} tests passed"),
                    None => "not tested".to_owned(),
                };
                let origin = match attempt.origin {
                    CodeOrigin::Generated => "written",
                    CodeOrigin::Corrected => "a correction",
                    CodeOrigin::Restored => "an earlier one brought back",
                    CodeOrigin::Edited => "written by the user",
                };
                self.put(Node {
                    id: attempt_id(name, version),
                    kind: Kind::Attempt,
                    label: format!("{name}@{version}"),
                    summary: format!("Version {version} ({origin}): {tests}"),
                    brief: None,
                    module: Some(Arc::clone(name)),
                    actor: None,
                    source: Some(attempt.sequence),
                    line: None,
                    clock: Arc::clone(&attempt.clock),
                    touched: Arc::clone(&attempt.clock),
                });
            }
        }
        for failure in &known.failures {
            self.put(node_of_failure(known, failure));
        }
        for told in &known.decisions {
            self.put(node_of(Kind::Decision, told));
        }
        for told in &known.concepts {
            self.put(node_of(Kind::Concept, told));
        }
    }

    fn place_items(&mut self, name: &'k Arc<str>, module: &'k Module) {
        let Some(code) = &module.code else {
            return;
        };
        let mut places: Vec<NodeIndex> = Vec::new();
        let Some(&holder) = self.places.get(&NodeId::new(Kind::Module, name)) else {
            return;
        };
        for item in &code.text.outline().items {
            let kind = match item.kind {
                ItemKind::Class => Kind::Class,
                ItemKind::Function => Kind::Function,
            };
            let parent = item.parent.and_then(|parent| places.get(parent).copied());
            let full = match parent {
                Some(parent) => format!("{}.{}", self.inner[parent].id.name(), item.name),
                None => format!("{name}.{}", item.name),
            };
            let place = self.put(Node {
                id: NodeId::new(kind, full),
                kind,
                label: item.name.clone(),
                summary: described(item),
                brief: Some(item.signature.clone()),
                module: Some(Arc::clone(name)),
                actor: None,
                source: code.sequence,
                line: Some(item.line),
                clock: Arc::clone(&code.clock),
                touched: Arc::clone(&code.clock),
            });
            // An item without a node of its own is represented by its module.
            let place = place.unwrap_or(holder);
            places.push(place);
            let name_in = item.name.as_str();
            if let Some(class) = parent {
                self.methods.insert((class, name_in), place);
                self.methods_by_name.entry(name_in).or_default().push(place);
            } else {
                self.defined.insert((&**name, name_in), place);
                self.by_name.entry(name_in).or_default().push(place);
            }
            if place != holder {
                self.link(parent.unwrap_or(holder), place, Relation::Contains, 1, 1.0);
            }
        }
        self.items.insert(&**name, places);
    }

    // Links.

    /// Adds to the link between two nodes. Links of a node to itself are ignored.
    fn link(
        &mut self,
        from: NodeIndex,
        to: NodeIndex,
        relation: Relation,
        count: u32,
        weight: f64,
    ) {
        if from == to {
            return;
        }
        let link = self.links.entry((from, to, relation)).or_default();
        link.0 = link.0.saturating_add(count);
        link.1 += weight;
    }

    /// Links to the node with this id, or records it as missing.
    fn link_to(&mut self, from: NodeIndex, to: NodeId, relation: Relation) {
        if let Some(&place) = self.places.get(&to) {
            self.link(from, place, relation, 1, 1.0);
        } else {
            let from = self.inner[from].id.clone();
            self.missing.insert((from, relation, to));
        }
    }

    fn place(&self, kind: Kind, name: &str) -> Option<NodeIndex> {
        self.places.get(&NodeId::new(kind, name)).copied()
    }

    fn link_task(&mut self, known: &'k Knowledge) {
        let task = known.task.as_ref();
        let task = task.and_then(|task| self.place(Kind::Task, &task.name));
        for (name, module) in &known.modules {
            let Some(place) = self.place(Kind::Module, name) else {
                continue;
            };
            if let Some(task) = task {
                self.link(task, place, Relation::Contains, 1, 1.0);
            }
            for other in &module.depends_on {
                self.link_to(place, NodeId::new(Kind::Module, other), Relation::DependsOn);
            }
            for &version in module.attempts.keys() {
                self.link_to(place, attempt_id(name, version), Relation::Contains);
            }
        }
        if let (Some(place), Some(task)) = (task, &known.task) {
            self.link_mentions(place, &task.text);
        }
    }

    fn link_code(&mut self, known: &'k Knowledge) {
        for (name, module) in &known.modules {
            let (Some(code), Some(holder)) = (&module.code, self.place(Kind::Module, name)) else {
                continue;
            };
            let outline = code.text.outline();
            let file = File::new(Some(&**name), outline);
            self.link_imports(known, &file, holder);
            for (at, item) in outline.items.iter().enumerate() {
                let Some(&from) = self.items.get(&**name).and_then(|places| places.get(at)) else {
                    continue;
                };
                let class = item
                    .parent
                    .and_then(|parent| self.items[&**name].get(parent).copied());
                for (used, &count) in &item.uses {
                    for to in self.meant(known, &file, class, used) {
                        self.link_use(from, to, Relation::References, count);
                    }
                }
            }
            for (used, &count) in &outline.uses {
                for to in self.meant(known, &file, None, used) {
                    self.link_use(holder, to, Relation::References, count);
                }
            }
        }
    }

    fn link_imports(&mut self, known: &'k Knowledge, file: &File<'k>, holder: NodeIndex) {
        for import in &file.outline.imports {
            let other = module_of(known, file.module, import);
            if let Some((other, _)) = other {
                if let Some(place) = self.place(Kind::Module, &other) {
                    self.link(holder, place, Relation::DependsOn, 1, 1.0);
                }
            } else if import.level == 0 {
                let library = import.module.split('.').next().unwrap_or_default();
                let place = self.put(Node {
                    id: NodeId::new(Kind::Library, library),
                    kind: Kind::Library,
                    label: library.to_owned(),
                    summary: format!("The library {library}"),
                    brief: None,
                    module: None,
                    actor: None,
                    source: None,
                    line: None,
                    clock: Arc::default(),
                    touched: Arc::default(),
                });
                if let Some(place) = place {
                    self.link(holder, place, Relation::DependsOn, 1, 0.1);
                }
            } else {
                let name = format!("{}{}", ".".repeat(import.level), import.module);
                let from = self.inner[holder].id.clone();
                let to = NodeId::new(Kind::Module, name);
                self.missing.insert((from, Relation::DependsOn, to));
            }
        }
    }

    /// Links to a used node. The weight depends on how distinctive the name is and on the number of uses.
    fn link_use(&mut self, from: NodeIndex, to: NodeIndex, relation: Relation, count: u32) {
        let name = &self.inner[to].label;
        let defined = self.by_name.get(name.as_str()).map_or(0, Vec::len)
            + self.methods_by_name.get(name.as_str()).map_or(0, Vec::len);
        let weight = telling(name, defined) * f64::from(count).sqrt();
        self.link(from, to, relation, count, weight);
    }

    /// Resolves a used name. Empty if it is unknown; several nodes if a method may belong to
    /// several classes.
    fn meant(
        &self,
        known: &'k Knowledge,
        file: &File<'k>,
        class: Option<NodeIndex>,
        used: &str,
    ) -> Vec<NodeIndex> {
        let mut parts = used.split('.');
        let first = parts.next().unwrap_or_default();
        let mut meaning = if first.is_empty() {
            Meaning::Nothing
        } else {
            self.meaning(known, file, first)
        };
        // After `import shop.sums` uses have the full name.
        let whole = file.imports.keys().filter(|bound| {
            bound.contains('.')
                && used
                    .strip_prefix(**bound)
                    .is_some_and(|rest| rest.starts_with('.'))
        });
        if let Some(bound) = whole.max_by_key(|bound| bound.len())
            && let Some((module, _)) = module_of(known, file.module, file.imports[bound])
        {
            meaning = Meaning::Module(module);
            parts = used[bound.len() + 1..].split('.');
        }
        for part in parts {
            meaning = match meaning {
                Meaning::Module(module) => {
                    let below: Arc<str> = format!("{module}.{part}").into();
                    if let Some(&place) = self.defined.get(&(&*module, part)) {
                        Meaning::Node(place)
                    } else if known.modules.contains_key(&below) {
                        Meaning::Module(below)
                    } else {
                        Meaning::Nothing
                    }
                }
                Meaning::Node(place) => match self.methods.get(&(place, part)) {
                    Some(&method) => Meaning::Node(method),
                    // The attribute is unknown, but the node is used.
                    None => return vec![place],
                },
                Meaning::Nothing => return self.methods_meant(class, file.module, used),
            };
        }
        match meaning {
            Meaning::Node(place) => vec![place],
            Meaning::Module(module) => self.place(Kind::Module, &module).into_iter().collect(),
            Meaning::Nothing => Vec::new(),
        }
    }

    /// Resolves a single name.
    fn meaning(&self, known: &'k Knowledge, file: &File<'k>, name: &str) -> Meaning {
        if let Some(import) = file.imports.get(name) {
            return match (module_of(known, file.module, import), &import.name) {
                (Some((module, true)), _) => Meaning::Module(module),
                (Some((module, false)), Some(name)) => self
                    .defined
                    .get(&(&*module, name.as_str()))
                    .map_or(Meaning::Nothing, |&place| Meaning::Node(place)),
                _ => Meaning::Nothing,
            };
        }
        if let Some(module) = file.module
            && let Some(&place) = self.defined.get(&(module, name))
        {
            return Meaning::Node(place);
        }
        for star in &file.stars {
            if let Some((module, _)) = module_of(known, file.module, star)
                && let Some(&place) = self.defined.get(&(&*module, name))
            {
                return Meaning::Node(place);
            }
        }
        // Tests from a prompt have no imports.
        let is_test = file.module.is_none() && file.outline.imports.is_empty();
        match self.by_name.get(name).map(Vec::as_slice) {
            Some(&[place]) if is_test => Meaning::Node(place),
            _ => Meaning::Nothing,
        }
    }

    /// The methods that a method call may refer to.
    fn methods_meant(
        &self,
        class: Option<NodeIndex>,
        module: Option<&str>,
        used: &str,
    ) -> Vec<NodeIndex> {
        let Some((_, name)) = used.rsplit_once('.') else {
            return Vec::new();
        };
        if let Some(&own) = class.and_then(|class| self.methods.get(&(class, name))) {
            return vec![own];
        }
        let all = self
            .methods_by_name
            .get(name)
            .map_or(&[][..], Vec::as_slice);
        let is_near = |place: &&NodeIndex| self.inner[**place].module.as_deref() == module;
        let near: Vec<NodeIndex> = all.iter().filter(is_near).copied().collect();
        if !near.is_empty() {
            near
        } else if all.len() <= COMMON_MIN {
            all.to_vec()
        } else {
            Vec::new()
        }
    }

    fn link_tests(&mut self, known: &'k Knowledge) {
        for (suite, tests) in &known.given {
            self.link_suite(known, suite, tests.text.outline());
        }
        for (name, module) in &known.modules {
            if let Some(tests) = &module.generated {
                self.link_suite(known, name, tests.text.outline());
            }
        }
        for (name, tested) in &known.tests {
            let Some(test) = self.places.get(&test_id(name)).copied() else {
                continue;
            };
            // A generated test belongs to one module, even if all modules were tested together.
            let own = known.modules.get_key_value(&name.suite);
            let own = own.map(|(module, _)| std::slice::from_ref(module));
            for module in own.unwrap_or(&tested.modules) {
                if let Some(place) = self.place(Kind::Module, module) {
                    self.link(place, test, Relation::TestedBy, 1, 0.5);
                }
            }
        }
    }

    fn link_suite(&mut self, known: &'k Knowledge, suite: &'k Arc<str>, outline: &'k Outline) {
        let file = File::new(None, outline);
        let names: Vec<Option<String>> = test_names(outline);
        let all: Vec<NodeIndex> = known
            .tests
            .keys()
            .filter(|name| name.suite == *suite)
            .filter_map(|name| self.places.get(&test_id(name)).copied())
            .collect();
        for (item, name) in outline.items.iter().zip(names) {
            let Some(name) = name else {
                continue;
            };
            let name = TestName {
                suite: Arc::clone(suite),
                name,
            };
            let Some(&test) = self.places.get(&test_id(&name)) else {
                continue;
            };
            for (used, &count) in &item.uses {
                for to in self.meant(known, &file, None, used) {
                    self.link_use(to, test, Relation::TestedBy, count);
                }
            }
        }
        // Code outside of test functions runs with every test.
        for (used, &count) in &outline.uses {
            for to in self.meant(known, &file, None, used) {
                for &test in &all {
                    self.link_use(to, test, Relation::TestedBy, count);
                }
            }
        }
    }

    fn link_failures(&mut self, known: &'k Knowledge) {
        for failure in &known.failures {
            let Some(place) = self.place(Kind::Error, &failure.name) else {
                continue;
            };
            if let Some(module) = &failure.module {
                match self.place(Kind::Module, module) {
                    Some(module) => self.link(module, place, Relation::Contains, 1, 1.0),
                    // The module is not in the current plan.
                    None => self.link_to(
                        place,
                        NodeId::new(Kind::Module, module),
                        Relation::References,
                    ),
                }
            } else if let Some(task) = &known.task
                && let Some(task) = self.place(Kind::Task, &task.name)
            {
                self.link(task, place, Relation::Contains, 1, 1.0);
            }
            if let Some(test) = &failure.test {
                self.link_to(place, test_id(test), Relation::References);
            }
            for (module, version) in &failure.seen {
                self.link_to(place, attempt_id(module, *version), Relation::CausedBy);
            }
            for (module, version) in failure.fixed.iter().flatten() {
                self.link_to(place, attempt_id(module, *version), Relation::FixedBy);
            }
            self.link_mentions(place, &failure.message);
        }
    }

    fn link_told(&mut self, known: &'k Knowledge) {
        let task = known.task.as_ref();
        let task = task.and_then(|task| self.place(Kind::Task, &task.name));
        let decisions = known.decisions.iter().map(|told| (Kind::Decision, told));
        let concepts = known.concepts.iter().map(|told| (Kind::Concept, told));
        for (kind, told) in decisions.chain(concepts) {
            let Some(place) = self.place(kind, &told.name) else {
                continue;
            };
            let module = told.module.as_ref();
            let module = module.and_then(|module| self.place(Kind::Module, module));
            if let Some(holder) = module.or(task) {
                self.link(holder, place, Relation::Contains, 1, 1.0);
            }
            self.link_mentions(place, &told.text);
        }
    }

    /// Links to the functions, classes and modules that a prose text mentions. A short name counts only if it is
    /// written as a call.
    fn link_mentions(&mut self, from: NodeIndex, text: &str) {
        let mut rest = text;
        let mut mentioned = BTreeSet::new();
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        while let Some(start) = rest.find(is_part) {
            let word = &rest[start..];
            let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
            let (name, after) = word.split_at(end);
            let name = name.trim_matches('.');
            let is_call = after.starts_with('(');
            let last = name.rsplit('.').next().unwrap_or(name);
            if is_call || name.len() >= MENTION_CHARS_MIN {
                mentioned.extend(self.place(Kind::Module, name));
                let named = self.by_name.get(last).into_iter();
                let named = named.chain(self.methods_by_name.get(last));
                let named: Vec<NodeIndex> = named.flatten().copied().collect();
                if named.len() <= COMMON_MIN {
                    let is_meant = |place: &NodeIndex| self.inner[*place].id.name().ends_with(name);
                    mentioned.extend(named.into_iter().filter(is_meant));
                }
            }
            rest = after;
        }
        for to in mentioned {
            self.link_use(from, to, Relation::References, 1);
        }
    }

    fn finish(mut self) -> Graph {
        let mut links: Vec<_> = std::mem::take(&mut self.links).into_iter().collect();
        links.sort_unstable_by_key(|&(ends, _)| ends);
        for ((from, to, relation), (count, weight)) in links {
            let link = Link {
                relation,
                count,
                weight,
            };
            self.inner.add_edge(from, to, link);
        }
        let missing = self.missing.into_iter();
        let missing = missing.map(|(from, relation, to)| Missing { from, relation, to });
        let missing = missing.collect();
        Graph::new(self.inner, self.places, missing, self.left_out)
    }
}

/// The weight of a name with so many definitions, as in aider's repository map.
fn telling(name: &str, defined: usize) -> f64 {
    let mut weight = 1.0;
    let has = |of: fn(char) -> bool| name.chars().any(of);
    let is_of_words = (name.contains('_') && has(char::is_alphabetic))
        || (has(char::is_uppercase) && has(char::is_lowercase));
    if is_of_words && name.chars().count() >= TELLING_CHARS_MIN {
        weight *= 10.0;
    }
    if name.starts_with('_') {
        weight *= 0.1;
    }
    if defined > COMMON_MIN {
        weight *= 0.1;
    }
    weight
}

/// Resolves the module of an import, and whether the imported name is the module itself. `None` for a library.
fn module_of(
    known: &Knowledge,
    within: Option<&str>,
    import: &ImportedName,
) -> Option<(Arc<str>, bool)> {
    let candidates: Vec<String> = if import.level > 0 {
        // One dot is the package of the file.
        let mut package = within?;
        for _ in 0..import.level {
            package = package.rsplit_once('.').map_or("", |(package, _)| package);
        }
        vec![joined(package, &import.module)]
    } else {
        // Modules of the same package may be imported without its name.
        let package = within.and_then(|name| name.rsplit_once('.'));
        let beside = package.map(|(package, _)| joined(package, &import.module));
        std::iter::once(import.module.clone())
            .chain(beside)
            .collect()
    };
    for module in candidates {
        if let Some(name) = &import.name
            && let Some((below, _)) = known.modules.get_key_value(&*joined(&module, name))
        {
            return Some((Arc::clone(below), true));
        }
        if let Some((module, _)) = known.modules.get_key_value(&*module) {
            return Some((Arc::clone(module), import.name.is_none()));
        }
    }
    None
}

fn joined(package: &str, name: &str) -> String {
    match (package, name) {
        ("", name) => name.to_owned(),
        (package, "") => package.to_owned(),
        (package, name) => format!("{package}.{name}"),
    }
}

fn attempt_id(module: &str, version: u64) -> NodeId {
    NodeId::new(Kind::Attempt, format_args!("{module}@{version}"))
}

fn test_id(name: &TestName) -> NodeId {
    if name.suite.is_empty() {
        return NodeId::new(Kind::Test, &name.name);
    }
    NodeId::new(Kind::Test, format_args!("{}::{}", name.suite, name.name))
}

/// The test name of each item, in outline order; `None` for items that are no tests.
fn test_names(outline: &Outline) -> Vec<Option<String>> {
    let items = outline.items.iter();
    let names = items.map(|item| {
        let is_test = item.kind == ItemKind::Function && item.name.starts_with("test");
        is_test.then(|| match item.parent {
            Some(parent) => format!("{}.{}", outline.items[parent].name, item.name),
            None => item.name.clone(),
        })
    });
    names.collect()
}

fn tests_in(outline: &Outline) -> impl Iterator<Item = String> {
    test_names(outline).into_iter().flatten()
}

fn described(item: &Item) -> String {
    if item.description.is_empty() {
        item.signature.clone()
    } else {
        format!("{}: {}", item.signature, item.description)
    }
}

fn node_of(kind: Kind, told: &Told) -> Node {
    Node {
        id: NodeId::new(kind, &told.name),
        kind,
        label: told.label.clone(),
        summary: cut(&told.text, SUMMARY_CHARS_MAX),
        brief: None,
        module: told.module.clone(),
        actor: Some(Arc::clone(&told.actor)),
        source: Some(told.sequence),
        line: None,
        clock: Arc::clone(&told.clock),
        touched: Arc::clone(&told.clock),
    }
}

fn node_of_module(name: &Arc<str>, module: &Module) -> Node {
    let code = module.code.as_ref();
    let clock = code.map_or(&module.clock, |code| &code.clock);
    Node {
        id: NodeId::new(Kind::Module, name),
        kind: Kind::Module,
        label: name.to_string(),
        summary: cut(&module.purpose, SUMMARY_CHARS_MAX),
        brief: None,
        module: Some(Arc::clone(name)),
        actor: None,
        source: code.and_then(|code| code.sequence).or(module.planned),
        line: None,
        clock: Arc::clone(clock),
        touched: Arc::clone(clock),
    }
}

/// The merged clocks of the current code of modules, or `clock` if it is not older.
fn touched<'k>(
    known: &Knowledge,
    clock: &Arc<VectorClock>,
    modules: impl Iterator<Item = &'k Arc<str>>,
) -> Arc<VectorClock> {
    let mut all = VectorClock::default();
    for module in modules {
        if let Some(code) = known
            .modules
            .get(module)
            .and_then(|module| module.code.as_ref())
        {
            all.merge(&code.clock);
        }
    }
    if clock.happens_before(&all) {
        Arc::new(all)
    } else {
        Arc::clone(clock)
    }
}

fn node_of_test(known: &Knowledge, name: &TestName, suite: Option<&Suite>) -> Node {
    let tested = known.tests.get(name);
    let outcome = match tested {
        Some(tested) if tested.passed => "passed",
        Some(_) => "failed",
        None => "not run",
    };
    let clock: Arc<VectorClock> = match (tested, suite) {
        (Some(tested), _) => Arc::clone(&tested.clock),
        (None, Some(suite)) => Arc::clone(&suite.clock),
        (None, None) => Arc::default(),
    };
    let modules = tested.map_or(&[][..], |tested| &tested.modules);
    let module = known.modules.get_key_value(&name.suite);
    let source: Option<Sequence> = suite
        .map(|suite| suite.sequence)
        .or(tested.map(|tested| tested.sequence));
    Node {
        id: test_id(name),
        kind: Kind::Test,
        label: name.name.clone(),
        summary: format!("{}: {outcome}", name.name),
        brief: None,
        module: module.map(|(name, _)| Arc::clone(name)),
        actor: None,
        source,
        line: None,
        touched: touched(known, &clock, modules.iter()),
        clock,
    }
}

fn node_of_failure(known: &Knowledge, failure: &Failure) -> Node {
    let mut seen: BTreeMap<&Arc<str>, Vec<String>> = BTreeMap::new();
    for (module, version) in &failure.seen {
        seen.entry(module).or_default().push(version.to_string());
    }
    let seen: Vec<String> = seen
        .into_iter()
        .map(|(module, versions)| format!("{module} version {}", versions.join(", ")))
        .collect();
    let mut brief = failure.what.clone();
    if !failure.message.is_empty() {
        brief = format!("{brief}: {}", failure.message);
    }
    if failure.fixed.is_some() {
        brief.push_str(" (gone)");
    }
    let mut summary = failure.what.clone();
    if !seen.is_empty() {
        summary = format!("{summary} with {}", seen.join(" and "));
    }
    if !failure.message.is_empty() {
        summary = format!("{summary}: {}", failure.message);
    }
    match failure.fixed.as_deref() {
        None => {}
        Some([]) => summary.push_str("; gone since"),
        Some(versions) => {
            let versions: Vec<String> = versions
                .iter()
                .map(|(module, version)| format!("{module} version {version}"))
                .collect();
            summary = format!("{summary}; gone with {}", versions.join(" and "));
        }
    }
    let modules = failure.seen.iter().map(|(module, _)| module);
    let touched = match &failure.fixed {
        None => touched(known, &failure.clock, modules),
        Some(_) => Arc::clone(&failure.clock),
    };
    Node {
        id: NodeId::new(Kind::Error, &failure.name),
        kind: Kind::Error,
        label: failure.what.clone(),
        summary: cut(&summary, SUMMARY_CHARS_MAX),
        brief: Some(brief),
        module: failure.module.clone(),
        actor: None,
        source: Some(failure.sequence),
        line: None,
        clock: Arc::clone(&failure.clock),
        touched,
    }
}
