update anzol_endpoint_secret set value = :value where id = :id
