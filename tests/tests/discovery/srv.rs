//! Through SRV records.

use api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_tests::Program;

use crate::founder::{Founder, come_together, locate};
use crate::names::{Names, Zone};

const DOMAIN: &str = "cluster.test";

pub(crate) async fn named<P: Program>() {
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
        let (host, prefix) = (format!("{}.{DOMAIN}", founder.name), names.prefix(founder.dir()));
        founder.called(host, prefix)
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
    assert_eq!(founders[2].clients().kv.range(request).await.expect("it answers").into_inner().count, 1);
    let log = founders[0].log();
    for line in ["get cluster for etcd-server-ssl SRV", "got bootstrap from DNS for etcd-server"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(log.contains(&format!("a=http://a.{DOMAIN}:2380")), "{log}");
}

pub(crate) async fn unnamed<P: Program>() {
    let executable = locate::<P>().await;
    let founder = Founder::new("a", &executable);
    let other = format!("other.{DOMAIN}");
    let zone = Zone {
        hosts: vec![(other.clone(), [127, 0, 0, 2].into())],
        services: vec![(format!("_etcd-server._tcp.{DOMAIN}"), other, 2380)],
    };
    let Some(names) = Names::serve(zone) else { return };
    let (host, prefix) = (founder.host.clone(), names.prefix(founder.dir()));
    let mut founder = founder.called(host, prefix);
    founder.spawn(&["--discovery-srv=nowhere.test".to_owned()]);
    let log = founder.refuses().await;
    for expected in [
        "error setting up initial cluster: error querying DNS SRV records for _etcd-server-ssl lookup \
         _etcd-server-ssl._tcp.nowhere.test",
        "error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.nowhere.test",
        ": no such host",
    ] {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    founder.spawn(&[format!("--discovery-srv={DOMAIN}")]);
    let log = founder.refuses().await;
    assert!(log.contains("cannot find local etcd member \\\"a\\\" in SRV records"), "{log}");
}
