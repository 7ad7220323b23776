//! The words that are sent: one system prompt per purpose, byte-identical from call to call so that
//! a model server's prompt cache hits, and the schema of a plan.

use journeyman_event::payload::Purpose;
use serde_json::{Value, json};

const PLAN: &str = "\
You plan small Python programs. Split the task into the few modules that it names or needs, \
without inventing extra ones. For each module give its file name without `.py` \
(a short lower-case identifier), what it is for, its public functions with typed signatures, \
and which of the other modules it imports. \
`package` is the name of the package folder that the modules live in, or empty when they are \
single files. A signature is one line of Python such as `def slugify(text: str) -> str`. \
Behaviour says in one or two sentences what is returned for which input and which exception is \
raised when. Only the standard library is there. Answer with JSON.";

const CODE: &str = "\
You are an expert Python programmer. You write one complete, working module at a time: no \
placeholders, no examples, no tests. Keep to the given names and signatures. Import only the \
standard library and the modules that you are told exist. \
Answer with the whole file in one ```python block and nothing else.";

const TESTS: &str = "\
You are a careful software tester. You write short pytest tests from a description, without \
having seen the code. Test only what the description says for certain; each test function has \
one or two plain `assert` lines with a concrete input and the expected result, or a \
`pytest.raises`. No mocks, no fixtures, no files, no network. \
Answer with the whole test file in one ```python block and nothing else.";

const FIX: &str = "\
You are an expert Python programmer. You correct a module that fails its tests. Find out why each \
named test fails, then write the whole corrected file, keeping what works. Import only the \
standard library and the modules that you are told exist. \
Say in one or two sentences what was wrong, then give the whole file in one ```python block.";

/// The system prompt of a purpose.
pub(crate) const fn system(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Plan => PLAN,
        Purpose::Code => CODE,
        Purpose::Tests => TESTS,
        Purpose::Fix => FIX,
    }
}

/// The JSON schema of a plan. Its bounds keep a small model from going on for ever.
pub fn plan_schema() -> Value {
    let text = |max: u32| json!({"type": "string", "maxLength": max});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["package", "modules"],
        "properties": {
            "package": text(40),
            "modules": {
                "type": "array", "minItems": 1, "maxItems": 6,
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "purpose", "functions", "depends_on"],
                    "properties": {
                        "name": text(40),
                        "purpose": text(300),
                        "functions": {
                            "type": "array", "minItems": 1, "maxItems": 6,
                            "items": {
                                "type": "object",
                                "additionalProperties": false,
                                "required": ["signature", "behaviour"],
                                "properties": {"signature": text(160), "behaviour": text(300)}
                            }
                        },
                        "depends_on": {"type": "array", "maxItems": 5, "items": text(40)}
                    }
                }
            }
        }
    })
}
