select row_to_json(operation)::text from outbox_ops.operations operation where operation.number = $1
