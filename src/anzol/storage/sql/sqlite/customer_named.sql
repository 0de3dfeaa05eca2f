select v.name, c.uid from anzol_customer c join anzol_environment v on v.id = c.environment where c.id = :id
