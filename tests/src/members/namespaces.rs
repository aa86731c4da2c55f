//! A network namespace for each member, and a bridge between them.
//!
//! A rule in the receiver's namespace drops packets as they arrive: the sender gets no error, as in a real network.
//! The test itself is at the bridge and always reaches all members.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::command::{find, run};
use super::home::{Home, take};

/// Names of namespaces and devices begin with this, followed by the numbers of this process and of the lab.
const PREFIX: &str = "frt";
/// The last byte of the test's own address in each lab's network.
const BRIDGE: u8 = 254;

/// Errs with the reason when there can be no namespaces on this machine.
pub(super) fn available() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("become root, which network namespaces need".to_owned());
    }
    find(&[("ip", "iproute2"), ("nft", "nftables")])?;
    let mut lab = Lab::new().map_err(|error| error.to_string())?;
    lab.settle(0).map(drop).map_err(|error| error.to_string())
}

/// The network of one cluster. Dropping it removes its namespaces and devices.
#[derive(Debug)]
pub(super) struct Lab {
    name: String,
    /// The first three bytes are those of all addresses.
    network: Ipv4Addr,
    _taken: TcpListener,
    settled: Vec<usize>,
}

impl Lab {
    pub(super) fn new() -> io::Result<Self> {
        static LABS: AtomicUsize = AtomicUsize::new(0);
        remove_orphans();
        let name = format!("{PREFIX}{}{}", std::process::id(), letters(LABS.fetch_add(1, Ordering::Relaxed)));
        // This network is never routed, and the reserved loopback address makes the third byte unique.
        let (taken, listener) = take([127, 198, 18])?;
        let network = Ipv4Addr::new(198, 18, taken.octets()[3], 0);
        let lab = Self { name, network, _taken: listener, settled: Vec::new() };
        run(&format!("ip link add {} type bridge", lab.name))?;
        run(&format!("ip addr add {}/24 dev {}", lab.address(BRIDGE), lab.name))?;
        run(&format!("ip link set {} up", lab.name))?;
        Ok(lab)
    }

    fn address(&self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.network.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    fn member(&self, number: usize) -> Ipv4Addr {
        self.address(u8::try_from(number + 1).expect("there are few members"))
    }

    fn namespace(&self, number: usize) -> String {
        format!("{}{number}", self.name)
    }

    pub(super) fn settle(&mut self, number: usize) -> io::Result<Home> {
        let (namespace, address, bridge) = (self.namespace(number), self.member(number), &self.name);
        run(&format!("ip netns add {namespace}"))?;
        self.settled.push(number);
        run(&format!("ip link add {namespace} type veth peer name eth0 netns {namespace}"))?;
        run(&format!("ip link set {namespace} master {bridge} up"))?;
        run(&format!("ip -n {namespace} addr add {address}/24 dev eth0"))?;
        run(&format!("ip -n {namespace} link set lo up"))?;
        run(&format!("ip -n {namespace} link set eth0 up"))?;
        self.nft(number, "add table inet cut")?;
        self.nft(number, "add set inet cut from { type ipv4_addr ; }")?;
        self.nft(number, "add chain inet cut in { type filter hook input priority 0 ; }")?;
        self.nft(number, "add rule inet cut in ip saddr @from drop")?;
        Ok(Home::elsewhere(address))
    }

    fn nft(&self, number: usize, what: &str) -> io::Result<()> {
        run(&format!("ip netns exec {} nft {what}", self.namespace(number)))
    }

    /// The words before the command of a member.
    pub(super) fn prefix(&self, number: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(number)].map(str::to_owned).to_vec()
    }

    pub(super) fn cut(&self, from: usize, to: usize) {
        let cut = self.nft(to, &format!("add element inet cut from {{ {} }}", self.member(from)));
        cut.expect("packets can be dropped");
    }

    pub(super) fn heal(&self) {
        for &number in &self.settled {
            self.nft(number, "flush set inet cut from").expect("packets can be let through");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The next lab removes what is left over.
        for &number in &self.settled {
            let _ = run(&format!("ip link del {}", self.namespace(number)));
            let _ = run(&format!("ip netns del {}", self.namespace(number)));
        }
        let _ = run(&format!("ip link del {}", self.name));
    }
}

/// Removes what killed processes have left.
fn remove_orphans() {
    for (dir, remove) in [("/run/netns", "ip netns del"), ("/sys/class/net", "ip link del")] {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split(char::is_alphabetic).next());
            let is_orphan = pid.is_some_and(|pid| {
                pid.parse::<u32>().is_ok() && !fs::exists(format!("/proc/{pid}")).unwrap_or(true)
            });
            if is_orphan {
                let _ = run(&format!("{remove} {name}"));
            }
        }
    }
}

/// Names of devices have at most 15 characters.
fn letters(number: usize) -> String {
    let letter = |digit: usize| char::from(b'a' + u8::try_from(digit % 26).expect("below 26"));
    [letter(number / 26), letter(number)].iter().collect()
}
