/**
 * All commands. Everything that says which there are derives from this table: what the connection does, arity errors,
 * COMMAND, the labels of metrics, and the tables in docs/resp.md, which a test compares.
 */
import type { RespCommandSpec } from './command.ts';
import { connectionCommands } from './commands/connection.ts';
import { keyCommands } from './commands/keys.ts';
import { lockCommands } from './commands/locks.ts';
import { manyStepCommands } from './commands/many-steps.ts';
import { pubSubCommands } from './commands/pubsub.ts';
import { queueCommands } from './commands/queues.ts';
import { scanCommands } from './commands/scan.ts';
import { scriptCommands } from './commands/scripts.ts';
import { serverCommands } from './commands/server.ts';
import { stringCommands } from './commands/strings.ts';
import { stringPartCommands } from './commands/string-parts.ts';
import { transactionCommands } from './commands/transactions.ts';
import { watchCommands } from './commands/watch.ts';

export const commandTable: ReadonlyMap<string, RespCommandSpec> = new Map(
  [
    ...connectionCommands,
    ...serverCommands,
    ...stringCommands,
    ...stringPartCommands,
    ...keyCommands,
    ...manyStepCommands,
    ...scanCommands,
    ...transactionCommands,
    ...lockCommands,
    ...queueCommands,
    ...watchCommands,
    ...pubSubCommands,
    ...scriptCommands,
  ].map((spec) => [spec.name, spec]),
);
