//! Machines of their own: network namespaces (`iproute2`), which need root.

use std::process::{Child, Command};

use super::unique;

/// A network of two machines, the second with an EPMD; gone when it is dropped.
pub struct Network {
    names: [String; 2],
    epmd: Child,
    /// Addresses of the two.
    pub addresses: [&'static str; 2],
}

impl Network {
    pub fn new() -> Self {
        let (names, addresses) = ([unique("ns"), unique("ns")], ["10.77.0.1", "10.77.0.2"]);
        add(&names[0]);
        add(&names[1]);
        connect(&names, addresses);
        Self { epmd: epmd(&names[1]), names, addresses }
    }

    /// Runs a program on one of the machines.
    pub fn command(&self, machine: usize, program: &str) -> Command {
        command(&self.names[machine], program)
    }

    pub fn name(&self, machine: usize) -> String {
        self.names[machine].clone()
    }

    /// The second machine loses its power, and comes up again: its peers hear nothing of it.
    pub fn power_cycle(&mut self) {
        ip(&["-n", &self.names[0], "link", "del", "wire"]);
        end(&mut self.epmd);
        ip(&["netns", "del", &self.names[1]]);
        add(&self.names[1]);
        connect(&self.names, self.addresses);
        self.epmd = epmd(&self.names[1]);
    }
}

fn add(name: &str) {
    ip(&["netns", "add", name]);
    ip(&["-n", name, "link", "set", "lo", "up"]);
}

fn connect(names: &[String; 2], addresses: [&str; 2]) {
    let [one, other] = names;
    ip(&["-n", one, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", other]);
    for (name, address) in names.iter().zip(addresses) {
        ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "wire"]);
        ip(&["-n", name, "link", "set", "wire", "up"]);
    }
}

fn epmd(name: &str) -> Child {
    command(name, "epmd").spawn().expect("epmd is installed")
}

fn end(process: &mut Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

impl Drop for Network {
    fn drop(&mut self) {
        end(&mut self.epmd);
        for name in &self.names {
            ip(&["netns", "del", name]);
        }
    }
}

/// A program in a network namespace.
pub fn command(netns: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns, program]);
    command
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}
