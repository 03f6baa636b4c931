CREATE EXTERNAL TABLE IF NOT EXISTS `raw`.`clientes` (
  `idcliente` string,
  `qtdepontos` bigint,
  `dtatualizacao` timestamp
)
COMMENT 'clientes: the newest snapshot'
STORED AS PARQUET
LOCATION 'file:///lake/full-load/clientes/';

CREATE EXTERNAL TABLE IF NOT EXISTS `raw`.`clientes_cdc` (
  `idcliente` string,
  `qtdepontos` bigint,
  `dtatualizacao` timestamp,
  `op` string
)
COMMENT 'clientes: the changes, op = I, U or D'
STORED AS PARQUET
LOCATION 'file:///lake/cdc/clientes/';

CREATE OR REPLACE VIEW "raw"."clientes_current" AS
SELECT "idcliente", "qtdepontos", "dtatualizacao"
FROM (
  SELECT *, row_number() OVER (PARTITION BY "idcliente" ORDER BY "$path" DESC) AS "newest"
  FROM "raw"."clientes_cdc"
)
WHERE "newest" = 1 AND op <> 'D';
