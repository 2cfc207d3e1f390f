//! What the operator may do.

use crate::{
    api::Right,
    bed::{RFC, STORAGE, a_while, granted, grants, ready, until},
};
use glusterd_client::operator::rbac::RULES;

/// What deploy/kubernetes grants is what the operator does: no more, and no less.
#[tokio::test]
async fn what_is_asked_of_the_api_is_what_is_allowed() {
    let (api, script, operator) = ready().await;
    for _ in 0..2 {
        api.remove(RFC);
        until("it is there again", || api.get(RFC).is_some()).await;
        a_while(&script).await;
    }
    // The same again within minutes is counted in the event that is there.
    let is_counted = |right: &Right| (right.resource.as_str(), right.verb) == ("events", "patch");
    until("it was counted", || api.asked().iter().any(is_counted)).await;
    api.remove(STORAGE);
    until("it is gone", || api.get(STORAGE).is_none()).await;
    operator.stop().await;
    let asked = api.asked();
    assert_eq!(asked.iter().filter(|right| !granted(right)).collect::<Vec<_>>(), Vec::<&Right>::new());
    for rule in RULES {
        for verb in rule.verbs {
            let uses = |right: &&Right| right.verb == *verb && grants(&rule, right);
            assert!(asked.iter().any(|right| uses(&right)), "nobody needs {verb} of {rule:?}");
        }
    }
    // Of another namespace, and of another name.
    for (namespace, name) in [("default", "kadalu-info"), ("kadalu", "other")] {
        let maps = ["", "configmaps"].map(str::to_owned);
        let [group, resource] = maps;
        let (namespace, name) = (Some(namespace.to_owned()), Some(name.to_owned()));
        assert!(!granted(&Right { group, resource, verb: "patch", namespace, name }));
    }
}
