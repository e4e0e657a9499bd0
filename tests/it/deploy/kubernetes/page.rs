//! The commands of docs/kubernetes.md that need no cluster, in a folder that has `deploy/`.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::{MINORS, Tools, object, root};
use crate::documents::reader::Reader;
use crate::documents::{Claim, play};
use crate::support::site::Site;

const PAGE: &str = "docs/kubernetes.md";

/// In the order of the page.
pub(crate) const CLAIMS: &[Claim<Afternoon>] = &[
    (PAGE, "agent    = \"coder\"", |day, text| day.writes("allowlists/coder.toml", text)),
    (PAGE, "forbid = [\"opaque\"]", |day, text| day.writes("floor.toml", text)),
    (PAGE, "allowlists = \"allowlists\"", |day, text| day.writes("exeat.toml", text)),
    (PAGE, "exeat --config site/exeat.toml token", |day, text| {
        let said = day.reader.said(text);
        assert!(said.contains("agent coder, 1 rule, 1 expectation"), "{said}");
        let url = day.reads("proxy.url");
        assert!(url.starts_with("http://coder:exeat_") && url.ends_with("@10.96.31.28:3128"), "{url:?}");
    }),
    (PAGE, "image:\n  repository", |day, text| day.writes("values.yaml", text)),
    (PAGE, "helm lint", |day, text| {
        assert!(day.reader.said(text).contains("0 chart(s) failed"));
        let objects = day.renders("rendered.yaml");
        let lists = &object(&objects, "ConfigMap", "exeat-allowlists")["data"];
        assert_eq!(lists["coder.toml"], day.reads("allowlists/coder.toml"), "with the token's digest");
        assert_eq!(object(&objects, "ConfigMap", "exeat-floor")["data"]["floor.toml"], day.reads("floor.toml"));
        assert!(!day.reads("rendered.yaml").contains("exeat_"), "no token is rendered");
    }),
    (PAGE, "exeat --config site/exeat.toml ca init", |day, text| {
        day.reader.said(text);
        for file in ["certs/ca.pem", "certs/ca.key", "ca-bundle.pem"] {
            assert!(day.reads(file).contains("-----BEGIN"), "{file}");
        }
        assert!(day.reader.folder().join("site/truststore.p12").is_file());
    }),
    (PAGE, "helm template exeat deploy/kubernetes/chart -n agents", |day, text| {
        day.reader.said(text);
        assert!(day.renders("sidecar.yaml").iter().any(|one| one["metadata"]["name"] == "exeat-nft"));
        let [patch] = &day.renders("patch.yaml")[..] else { panic!("a patch and nothing else") };
        assert_eq!((&patch["kind"], &patch["metadata"]["name"]), (&"Deployment".into(), &"coder".into()));
    }),
    (PAGE, "kubectl kustomize", |day, text| {
        day.reader.said(text);
        for file in ["gateway.yaml", "sidecar.yaml", "overlay.yaml", "agent.yaml"] {
            let (valid, said) = day.tools.validate(MINORS[1], &day.reads(file));
            assert!(valid && !day.renders(file).is_empty(), "{file}: {said}");
        }
    }),
];

/// A platform engineer with a checkout.
pub(crate) struct Afternoon {
    reader: Reader,
    tools: Tools,
}

impl Afternoon {
    fn new(tools: Tools) -> Self {
        let reader = Reader::new(Site::new());
        let folder = reader.folder();
        fs::create_dir_all(folder.join("site/allowlists")).unwrap();
        symlink(root().join("deploy"), folder.join("deploy")).unwrap();
        for tool in ["helm", "kubectl"] {
            symlink(tools.bin.join(tool), folder.join("bin").join(tool)).unwrap();
        }
        Self { reader, tools }
    }

    fn writes(&self, file: &str, text: &str) {
        fs::write(self.reader.folder().join("site").join(file), format!("{text}\n")).unwrap();
    }

    fn reads(&self, file: &str) -> String {
        fs::read_to_string(self.reader.folder().join("site").join(file)).unwrap()
    }

    fn renders(&self, file: &str) -> Vec<Value> {
        self.tools.objects(&self.reads(file))
    }
}

#[test]
fn the_page_for_platform_engineers_runs() {
    let Some(tools) = Tools::find() else { return };
    play(CLAIMS, &mut Afternoon::new(tools));
}
