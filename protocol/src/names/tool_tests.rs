//! The rules of tool names, as the protocol states them.

use super::*;
use proptest::prelude::*;

fn index(names: &[&'static str]) -> ToolIndex<&'static str> {
    ToolIndex::new(names.iter().map(|&name| (name, name))).unwrap()
}

#[test]
fn all_separators_reach_the_same_tool() {
    let index = index(&["vm:click", "vm:double_click", "ping"]);
    for name in ["vm:click", "vm.click", "vm_click", "vm-click", "click"] {
        assert_eq!(
            index.resolve(name),
            Resolution::Found(&"vm:click"),
            "{name}"
        );
    }
    for name in ["vm_double_click", "vm.double_click", "double_click"] {
        assert_eq!(
            index.resolve(name),
            Resolution::Found(&"vm:double_click"),
            "{name}"
        );
    }
    assert_eq!(index.resolve("ping"), Resolution::Found(&"ping"));
}

#[test]
fn an_exact_name_wins_over_every_reading() {
    let index = index(&["vm_click", "vm:click"]);
    assert_eq!(index.resolve("vm_click"), Resolution::Found(&"vm_click"));
}

#[test]
fn the_longest_resource_name_is_tried_first() {
    let index = index(&["my:vm_click", "my_vm:click"]);
    assert_eq!(
        index.resolve("my_vm_click"),
        Resolution::Found(&"my_vm:click")
    );
    assert_eq!(
        index.resolve("my.vm_click"),
        Resolution::Found(&"my:vm_click")
    );
}

#[test]
fn a_bare_action_that_several_tools_have_lists_them() {
    let index = index(&["web:search", "rag:search"]);
    let candidates = vec!["rag:search", "web:search"];
    assert_eq!(index.resolve("search"), Resolution::Ambiguous(candidates));
}

#[test]
fn nothing_else_is_found() {
    let index = index(&["vm:click"]);
    for name in [
        "",
        ":",
        "vm",
        "vm:",
        "vm/click",
        "VM:click",
        "vm::click",
        "_",
    ] {
        assert_eq!(index.resolve(name), Resolution::NotFound, "{name}");
    }
    assert_eq!(index.resolve(&"_".repeat(1 << 20)), Resolution::NotFound);
}

#[test]
fn a_slip_of_the_pen_has_a_proposal() {
    let index = index(&["vm:click", "vm:double_click", "bash:run"]);
    assert_eq!(index.nearest("vm:clik").first(), Some(&"vm:click"));
    assert_eq!(index.nearest("clck").first(), Some(&"vm:click"));
    assert!(index.nearest("zzz").is_empty());
    assert!(index.nearest(&"x".repeat(1 << 20)).is_empty());
}

#[test]
fn two_tools_of_one_name_are_refused() {
    let error = ToolIndex::new([("a:b", 1), ("a:b", 2)]).unwrap_err();
    assert_eq!(error, DuplicateTool("a:b".into()));
}

proptest! {
    #[test]
    fn every_tool_is_found_by_its_full_name(
        names in prop::collection::btree_set("([a-c_]{1,4}:)?[a-c_.:-]{1,5}", 1..20)
    ) {
        let index = ToolIndex::new(names.iter().map(|n| (n.as_str(), n.clone()))).unwrap();
        for name in &names {
            prop_assert_eq!(index.resolve(name), Resolution::Found(name));
        }
    }

    #[test]
    fn a_unique_tool_is_found_by_any_separator(resource in "[a-z]{1,6}", action in "[a-z_]{1,8}") {
        let full = format!("{resource}:{action}");
        let index = ToolIndex::new([(full.as_str(), ())]).unwrap();
        for separator in [".", "_", "-"] {
            let name = format!("{resource}{separator}{action}");
            prop_assert_eq!(index.resolve(&name), Resolution::Found(&()));
        }
        prop_assert_eq!(index.resolve(&action), Resolution::Found(&()));
    }

    #[test]
    fn any_name_is_looked_up_without_a_panic(name in any::<String>()) {
        let index = index(&["vm:click", "a-b:c", "ü:ß"]);
        let _ = (index.resolve(&name), index.nearest(&name));
    }
}
