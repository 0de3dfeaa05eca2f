select encode(uuid_send(c.id), 'hex'), c.uid from anzol.customer c where c.id = any(:customers::uuid[])
