//! Every HTTP client of the program begins here, so that the choice of cryptography is made once.
//!
//! Floor 0, below `fetch`. It knows no protocol, no address and no time limit: these belong to the crates that send requests.
//!
//! The TLS library (rustls) takes its cryptography from a provider. The default provider, `aws-lc-rs`, compiles
//! a large C library; `ring` does the same for us in a fraction of the build time
//! (`docs/decisions/0024-how-the-program-is-built.md`).

/// Begins a new HTTP client that can speak TLS.
///
/// The first call installs `ring` as the cryptography provider of the process. A provider that a program
/// installed before stays.
#[allow(clippy::disallowed_methods)] // the one place where they are allowed
pub fn client_builder() -> reqwest::ClientBuilder {
    // An error says only that a provider is installed, which is what we want.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

#[cfg(test)]
mod tests {
    use super::client_builder;

    #[test]
    fn two_clients_can_be_built_one_after_the_other() {
        client_builder().build().unwrap();
        client_builder().https_only(true).build().unwrap();
    }
}
