/** `dragonlock doctor` and `health`: whether this machine is fit for the server, and whether the server is ready. */
import os from 'node:os';
import type { Run } from './command-spec.ts';
import { NegativeResult } from './exit-codes.ts';
import { serverFile } from './server-file.ts';

export const runDoctor: Run = async ({ terminal, json }, { options }) => {
  const { diagnose } = (await import(serverFile('doctor/doctor').href)) as DoctorModule;
  const rows = await diagnose(sourcesOf(options['config']));
  for (const row of rows) {
    if (json) terminal.json({ Name: row.name, Verdict: row.verdict, Text: row.text });
    else terminal.line(`${row.verdict.padEnd(4)}  ${row.name.padEnd(14)}  ${row.text}`);
  }
  const failed = rows.filter(({ verdict }) => verdict === 'fail').length;
  if (failed > 0) throw new NegativeResult(`${failed === 1 ? 'One check has' : `${failed} checks have`} failed`);
};

export const runHealth: Run = async ({ terminal }, { options }) => {
  const { isReady } = (await import(serverFile('doctor/health').href)) as HealthModule;
  const problem = await isReady(sourcesOf(options['config']));
  if (problem !== undefined) throw new NegativeResult(problem);
  terminal.line('ready');
};

function sourcesOf(config: unknown): object {
  return {
    argv: typeof config === 'string' ? ['--config', config] : [],
    env: process.env,
    cores: os.availableParallelism(),
  };
}

/** The parts that are used here. Importing their types would put the server into the npm package. */
interface DoctorModule {
  diagnose: (
    sources: object,
  ) => Promise<readonly { readonly name: string; readonly verdict: string; readonly text: string }[]>;
}

interface HealthModule {
  isReady: (sources: object) => Promise<string | undefined>;
}
