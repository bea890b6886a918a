/** `dragonlock seq`: next, get, reset. */
import type { Command } from 'commander';
import { UsageError } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

export function addSequence(program: Command, invocation: Invocation): void {
  const { terminal } = invocation;
  const sequence = program.command('seq').description('numbers from 1, each issued once, without gaps');
  sequence
    .command('next')
    .description('take the next number, and print it')
    .argument('<name>')
    .option('--block <n>', 'take N numbers, and print the first and the last')
    .action(async (key: string, { block }: { block?: string }) => {
      const n = block === undefined ? 1 : parseInteger(block, '--block');
      if (n < 1) throw new UsageError(`--block: expected 1 or more, got ${n}`);
      const { from, to } = await (await invocation.client()).sequence.block(key, n);
      if (invocation.json) terminal.json({ Key: key, From: from, To: to });
      else terminal.line(block === undefined ? String(to) : `${from} ${to}`);
    });
  sequence
    .command('get')
    .description('print the last number taken; 0 if none was')
    .argument('<name>')
    .action(async (key: string) => {
      const value = await (await invocation.client()).sequence.get(key);
      if (invocation.json) terminal.json({ Key: key, Value: value });
      else terminal.line(String(value));
    });
  sequence
    .command('reset')
    .description('start again at 1')
    .argument('<name>')
    .action(async (key: string) => {
      await (await invocation.client()).sequence.reset(key);
      if (invocation.json) terminal.json({ Key: key, Value: 0 });
    });
}
