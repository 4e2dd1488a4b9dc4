insert into outbox (aggregatetype, aggregateid, type, payload) values ('peers', $1, 'peers.happened', $2)
