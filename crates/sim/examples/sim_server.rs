//! A model server that misbehaves: `cargo run -p journeyman-sim --example sim_server -- 8000 500_once`.
//! Without a name it behaves; with `list` the names are told.

#![allow(clippy::print_stdout)] // it is a program

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use journeyman_sim::{MISBEHAVIOURS, Script, SimServer, SimServerOptions, misbehaviour};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "0".to_owned());
    let name = arguments.next();
    if port == "list" {
        for one in MISBEHAVIOURS {
            println!("{:26} {}", one.name, one.does);
        }
        return Ok(());
    }
    let misbehaviour =
        match &name {
            Some(name) => Some(misbehaviour(name).ok_or_else(|| {
                format!("there is no misbehaviour called {name}; `list` tells all")
            })?),
            None => None,
        };
    let script = "sim:?wrong=0&malformed=0".parse::<Script>()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let options = SimServerOptions {
        address,
        script,
        misbehaviour,
    };
    let server = SimServer::start(options).await?;
    println!("{}", server.url());
    std::future::pending::<()>().await;
    Ok(())
}
