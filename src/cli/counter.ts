/** `dragonlock counter`. */
import type { Command } from 'commander';
import type { DragonLock } from '../client/dragon-lock.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

export function addCounter(program: Command, invocation: Invocation): void {
  const counter = program.command('counter').description('integers that many may change at once');
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
  read('get', 'print it; 0 if there is none');
  change('add', 'add N (1 if not given; may be negative), print what it is then', '[n]');
  counter
    .command('set')
    .description('set it to N')
    .argument('<name>')
    .argument('<n>')
    .option('--if-eq <m>', 'only if it is M now')
    .action(async (key: string, n: string, { ifEq }: { ifEq?: string }) => {
      const client = await invocation.client();
      const expected = ifEq === undefined ? undefined : parseInteger(ifEq, '--if-eq');
      show(key, await client.counter.set(key, parseInteger(n, 'N'), { ifEq: expected }));
    });
  change('max', 'raise it to N if it is lower', '<n>');
  change('min', 'lower it to N if it is higher', '<n>');
  read('reset', 'delete it, print what it was');
}
