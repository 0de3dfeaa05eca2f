select id from anzol.customer where erase_through is not null limit :most
