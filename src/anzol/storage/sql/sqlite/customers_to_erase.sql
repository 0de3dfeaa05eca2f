select id from anzol_customer where erase_through is not null limit :most
