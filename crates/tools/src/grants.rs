//! What a caller may call: permissions, and optionally a restriction of names.

use std::collections::BTreeSet;

use crate::{Pattern, Permission, Spec};

/// The tools a caller may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    permissions: BTreeSet<Permission>,
    /// A tool's name must match a pattern in each of these lists.
    names: Vec<Vec<Pattern>>,
}

impl Grants {
    /// All tools that require one of these permissions. An empty list permits nothing.
    pub fn of(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self {
            permissions: permissions.into_iter().collect(),
            names: Vec::new(),
        }
    }

    /// Restricts the grants to tools whose name matches one of the patterns.
    pub fn only(mut self, names: Vec<Pattern>) -> Self {
        self.names.push(names);
        self
    }

    /// The intersection of two grants, such as a user's and an agent's.
    pub fn and(mut self, other: &Self) -> Self {
        self.permissions
            .retain(|one| other.permissions.contains(one));
        self.names.extend(other.names.iter().cloned());
        self
    }

    /// Why the tool may not be called; `None` if it may.
    pub fn missing(&self, spec: &Spec) -> Option<Missing> {
        let named = |list: &Vec<Pattern>| list.iter().any(|one| one.matches(spec.name.as_str()));
        if !self.permissions.contains(&spec.permission) {
            Some(Missing::Permission(spec.permission))
        } else if !self.names.iter().all(named) {
            Some(Missing::Name)
        } else {
            None
        }
    }
}

/// What a caller lacks to call a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The permission the tool requires.
    Permission(Permission),
    /// The tool's name does not match the allowed names.
    Name,
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::{Source, ToolName};

    fn spec(name: &str, permission: Permission) -> Spec {
        Spec {
            name: ToolName::new(name).unwrap(),
            description: String::new(),
            input_schema: Map::new(),
            permission,
            source: Source::BuiltIn,
            repeatable: true,
        }
    }

    #[test]
    fn what_both_permit_needs_the_permission_and_a_name_of_each() {
        let pattern = |text: &str| vec![Pattern::new(text).unwrap()];
        let user = Grants::of([Permission::Read, Permission::Write]).only(pattern("*_file"));
        let agent = Grants::of([Permission::Read, Permission::Run]).only(pattern("read_*"));
        let both = user.and(&agent);
        assert_eq!(both.missing(&spec("read_file", Permission::Read)), None);
        let name = Some(Missing::Name);
        assert_eq!(both.missing(&spec("read_version", Permission::Read)), name);
        assert_eq!(both.missing(&spec("copy_file", Permission::Read)), name);
        assert_eq!(
            both.missing(&spec("write_file", Permission::Write)),
            Some(Missing::Permission(Permission::Write))
        );
    }

    #[test]
    fn nobody_may_call_anything_by_default() {
        let missing = Grants::default().missing(&spec("read_file", Permission::Read));
        assert_eq!(missing, Some(Missing::Permission(Permission::Read)));
    }
}
