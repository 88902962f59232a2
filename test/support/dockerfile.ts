import { readFileSync } from 'node:fs';
import { DockerfileParser } from 'dockerfile-ast';

export interface Instruction {
  /** 1-based. */
  readonly line: number;
  /** Upper case. */
  readonly keyword: string;
  readonly flags: ReadonlyMap<string, string>;
  /** Without flags, continuation lines joined. */
  readonly text: string;
  /** The strings of the exec form; absent in shell form. */
  readonly exec?: readonly string[];
}

export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** Reads a Dockerfile with the parser of the Docker extension, stage by stage. Throws Error for an exec form that is not JSON. */
export function readDockerfile(path: string): Stage[] {
  const stages: { image: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const parsed of DockerfileParser.parse(readFileSync(path, 'utf8')).getInstructions()) {
    const keyword = parsed.getKeyword();
    const raw = (parsed.getRawArgumentsContent() ?? '').replace(/\\\n/g, ' ');
    const text = raw.replace(/\s+/g, ' ').trim();
    if (keyword === 'FROM') {
      const [image = '', , name] = text.split(' ');
      stages.push({ image, name, instructions: [] });
      continue;
    }
    const flags = 'getFlags' in parsed ? (parsed as { getFlags(): { toString(): string }[] }).getFlags() : [];
    const exec = /^(?:CMD )?(\[.*\])$/s.exec(text)?.[1];
    stages.at(-1)?.instructions.push({
      line: parsed.getInstructionRange().start.line + 1,
      keyword,
      flags: new Map(flags.map((flag) => splitOnce(flag.toString().slice(2)))),
      text,
      ...(exec === undefined ? {} : { exec: JSON.parse(exec) as string[] }),
    });
  }
  return stages;
}

/** NAME=value pairs of ENV and LABEL, quotes removed. */
export function pairsOf(instruction: Instruction): Map<string, string> {
  const pairs = instruction.text.match(/[^\s=]+=(?:"[^"]*"|\S+)/g) ?? [];
  return new Map(pairs.map((pair) => splitOnce(pair.replaceAll('"', ''))));
}

/** All instructions of one kind, in order. */
export function all(stage: Stage, keyword: string): Instruction[] {
  return stage.instructions.filter((instruction) => instruction.keyword === keyword);
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
