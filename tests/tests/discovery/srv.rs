//! Discovery through SRV records.

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_testkit::certificates::Authority;
use ferretcd_tests::Program;

use crate::founder::{Founder, come_together, locate};
use crate::names::{Names, Zone};

const DOMAIN: &str = "cluster.test";

pub(crate) async fn resolved<P: Program>() {
    let executable = locate::<P>().await;
    let founders = ["a", "b", "c"].map(|name| Founder::new(name, &executable));
    let mut zone = Zone::default();
    for founder in &founders {
        let host = format!("{}.{DOMAIN}", founder.name);
        zone.hosts.push((host.clone(), founder.address));
        zone.services.push((format!("_etcd-server-x._tcp.{DOMAIN}"), host, 2380));
    }
    let Some(names) = Names::serve(zone) else { return };
    let mut founders = founders.map(|founder| {
        let (url, prefix) = (format!("http://{}.{DOMAIN}:2380", founder.name), names.prefix(founder.dir()));
        founder.called(url, prefix)
    });
    let flags = [format!("--discovery-srv={DOMAIN}"), "--discovery-srv-name=x".to_owned()];
    for founder in &mut founders {
        founder.spawn(&flags);
    }
    let members = come_together(&founders).await;
    for member in &members {
        assert_eq!(member.peer_urls, [format!("http://{}.{DOMAIN}:2380", member.name)]);
    }
    let put = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    founders[0].clients().kv.put(put).await.expect("it can be put");
    let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
    assert_eq!(founders[2].clients().kv.range(request).await.expect("it responses").into_inner().count, 1);
    let log = founders[0].log();
    for line in ["get cluster for etcd-server-ssl SRV", "got bootstrap from DNS for etcd-server"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(log.contains(&format!("a=http://a.{DOMAIN}:2380")), "{log}");
}

/// The certificates are for the domain, not for the hosts.
pub(crate) async fn certified<P: Program>() {
    let executable = locate::<P>().await;
    let founders = ["a", "b", "c"].map(|name| Founder::new(name, &executable));
    let mut zone = Zone::default();
    for founder in &founders {
        let host = format!("{}.{DOMAIN}", founder.name);
        zone.hosts.push((host.clone(), founder.address));
        zone.services.push((format!("_etcd-server-ssl._tcp.{DOMAIN}"), host, 2380));
    }
    let Some(names) = Names::serve(zone) else { return };
    let authority = Authority::new();
    let certificate = authority.sign("founder", &[DOMAIN], 1);
    let mut founders = founders.map(|founder| {
        let (url, prefix) = (format!("https://{}.{DOMAIN}:2380", founder.name), names.prefix(founder.dir()));
        founder.called(url, prefix).trusting(&authority.certificate())
    });
    let flags = [&[format!("--discovery-srv={DOMAIN}")], &certificate.peer_flags()[..]].concat();
    for founder in &mut founders {
        founder.spawn(&flags);
    }
    let members = come_together(&founders).await;
    for member in &members {
        assert_eq!(member.peer_urls, [format!("https://{}.{DOMAIN}:2380", member.name)]);
    }
    if P::KIND.reference {
        return;
    }
    // etcd does not keep the domain, and verifies the host names instead.
    founders[1].terminate();
    founders[1].exited().await;
    founders[1].spawn(&flags);
    come_together(&founders).await;
}

pub(crate) async fn unresolved<P: Program>() {
    let executable = locate::<P>().await;
    let founder = Founder::new("a", &executable);
    let other = format!("other.{DOMAIN}");
    let zone = Zone {
        hosts: vec![(other.clone(), [127, 0, 0, 2].into())],
        services: vec![(format!("_etcd-server._tcp.{DOMAIN}"), other, 2380)],
    };
    let Some(names) = Names::serve(zone) else { return };
    let (url, prefix) = (format!("http://{}:2380", founder.address), names.prefix(founder.dir()));
    let mut founder = founder.called(url, prefix);
    founder.spawn(&["--discovery-srv=nowhere.test".to_owned()]);
    let log = founder.fails_to_start().await;
    for expected in [
        "error setting up initial cluster: error querying DNS SRV records for _etcd-server-ssl lookup \
         _etcd-server-ssl._tcp.nowhere.test",
        "error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.nowhere.test",
        ": no such host",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    founder.spawn(&[format!("--discovery-srv={DOMAIN}")]);
    let log = founder.fails_to_start().await;
    assert!(log.contains("cannot find local etcd member \\\"a\\\" in SRV records"), "{log}");
}
