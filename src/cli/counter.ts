/** `dragonlock counter`: get, add, set, max, min, reset. */
import type { Command } from 'commander';
import type { DragonLock } from '../client/dragon-lock.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

export function addCounter(program: Command, invocation: Invocation): void {
  const counter = program.command('counter').description('integers that many clients may change at once');
  const show = (key: string, value: number): void => {
    if (invocation.json) invocation.terminal.json({ Key: key, Value: value });
    else invocation.terminal.line(String(value));
  };
  const change = (name: 'add' | 'max' | 'min', description: string, argument: string): void => {
    counter
      .command(name)
      .description(description)
      .argument('<name>')
      .argument(argument)
      .action(async (key: string, n = '1') => {
        const client = await invocation.client();
        show(key, await client.counter[name](key, parseInteger(n, 'N')));
      });
  };
  const read = (name: 'get' | 'reset', description: string): void => {
    counter
      .command(name)
      .description(description)
      .argument('<name>')
      .action(async (key: string) => {
        const client: DragonLock = await invocation.client();
        show(key, await client.counter[name](key));
      });
  };
  read('get', 'print the counter; 0 if there is none');
  change('add', 'add N (default 1; may be negative), and print the result', '[n]');
  counter
    .command('set')
    .description('set the counter to N')
    .argument('<name>')
    .argument('<n>')
    .option('--if-eq <m>', 'only if the counter is M')
    .action(async (key: string, n: string, { ifEq }: { ifEq?: string }) => {
      const client = await invocation.client();
      const expected = ifEq === undefined ? undefined : parseInteger(ifEq, '--if-eq');
      show(key, await client.counter.set(key, parseInteger(n, 'N'), { ifEq: expected }));
    });
  change('max', 'raise the counter to N if it is lower', '<n>');
  change('min', 'lower the counter to N if it is higher', '<n>');
  read('reset', 'delete the counter, and print its last value');
}
