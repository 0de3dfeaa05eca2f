-- Nothing is returned if the customer has another one with this uid.
insert into anzol.endpoint (id, environment, customer_id, uid, url, description, event_types, channels, header_names,
                            headers, throttle, fifo, contact, header_prefix, schedule, metadata, disabled,
                            enabled_at, created_at, updated_at)
values (:id, :environment, :customer_id, :uid, :url, :description, :event_types, :channels, :header_names,
        :headers, :throttle, :fifo, :contact, :header_prefix, :schedule, :metadata, :disabled,
        :now, :now, :now)
on conflict (customer_id, uid) where deleted_at is null and uid is not null do nothing
returning id
