-- What this server is and how it is set.
select current_setting('server_version_num')::integer as version_number,
       current_setting('server_version') as version,
       pg_catalog.pg_is_in_recovery() as in_recovery,
       (select system_identifier from pg_catalog.pg_control_system()) as system_identifier,
       current_setting('fsync') as fsync,
       current_setting('full_page_writes') as full_page_writes,
       current_setting('max_prepared_transactions')::integer as max_prepared_transactions,
       pg_catalog.pg_notification_queue_usage() as notification_queue_usage,
       extract(epoch from clock_timestamp())::float8 as clock,
       current_user::text as user_name
