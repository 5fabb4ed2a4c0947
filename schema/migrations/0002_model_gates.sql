-- What workers tell each other of models that are to be left alone, and models that stand in for a campaign's own.

create table model_gates (
  account text not null,
  model text not null,
  cause text not null check (cause in ('rate_limit', 'faults')),
  reason text not null,
  trips integer not null default 0 check (trips >= 0),
  shut_until timestamptz not null,
  prober uuid,
  probe_until timestamptz,
  primary key (account, model),
  check ((prober is null) = (probe_until is null))
);

alter table campaign_configs add column fallback_models text[] check (array_position(fallback_models, null) is null);

comment on table model_gates is 'Models that no worker calls for now, and who may try whether they answer again.';
comment on column model_gates.account is 'Whose limits these are: a digest of the service''s address and key.';
comment on column model_gates.model is 'The model as the service names it.';
comment on column model_gates.cause is 'rate_limit, or faults of the service that did not end.';
comment on column model_gates.reason is 'The answer that shut the gate.';
comment on column model_gates.trips is 'How often faults have shut it since it was last open.';
comment on column model_gates.shut_until is 'When one call may be made, the probe.';
comment on column model_gates.prober is 'Incarnation of the worker that makes the probe; null when nobody does.';
comment on column model_gates.probe_until is 'When another worker may make the probe in its place.';
comment on column campaign_configs.fallback_models is
  'Models that stand in, in this order, while ai_model does not answer; null for those of the worker''s setting.';
