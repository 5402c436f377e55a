//! RabbitMQ: what it was told is there after `kill -9`.

use factum_services::rabbitmq::RabbitMq;

#[test]
fn users_survive_kill_9() {
    let mut rabbit = RabbitMq::start().unwrap();
    let port = rabbit.port();
    rabbit.ctl(&["add_user", "ann", "secret"]).unwrap();
    rabbit.kill9().unwrap();
    rabbit.ctl(&["list_users"]).unwrap_err();
    rabbit.restart().unwrap();
    assert_eq!(rabbit.port(), port);
    let users = rabbit.ctl(&["list_users"]).unwrap();
    assert!(users.contains("ann"), "{users}");
}
