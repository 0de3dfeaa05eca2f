insert into anzol_endpoint (seq, id, environment, customer_id, uid, url, description, event_types, channels,
                            header_names, headers, throttle, fifo, contact, header_prefix, schedule, metadata, disabled,
                            enabled_at, created_at, updated_at)
values (:seq, :id, :environment, :customer_id, :uid, :url, :description, :event_types, :channels,
        :header_names, :headers, :throttle, :fifo, :contact, :header_prefix, :schedule, :metadata, :disabled,
        :now, :now, :now)
