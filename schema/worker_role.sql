-- What a worker may do, and nothing else: `trioqueue migrate --worker-role` executes it. {schema} and {role} are names.
-- A worker cannot change what leads and campaigns say, nor the tables, and cannot delete a message, a part or a log line
-- but through prune_campaign_run, which removes only what has been over for at least a day.
grant usage on schema {schema} to {role};
grant select on all tables in schema {schema} to {role};
grant update on
  {schema}.campaign_runs, {schema}.campaign_messages, {schema}.campaign_message_parts, {schema}.conversations,
  {schema}.workers, {schema}.model_gates, {schema}.daily_spending, {schema}.model_prices
  to {role};
grant insert on
  {schema}.campaign_message_parts, {schema}.campaign_logs, {schema}.conversations, {schema}.workers,
  {schema}.model_gates, {schema}.daily_spending, {schema}.model_prices
  to {role};
grant delete on {schema}.workers, {schema}.model_gates to {role};
grant usage on all sequences in schema {schema} to {role};
grant execute on all functions in schema {schema} to {role};
