import { type Command, Option } from 'commander'
import { CommandFailure, EXIT } from '#cli/output.ts'
import type { Tools } from '#cli/session.ts'

export function addCompletionCommand(program: Command, { output }: Tools): void {
  program
    .command('completion')
    .description('print a script that completes commands and options in a shell')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText(
      'after',
      `
Examples:
  source <(stowage completion bash)
  stowage completion zsh > ~/.zfunc/_stowage
  stowage completion fish > ~/.config/fish/completions/stowage.fish`,
    )
    .action(async (shell: string) => {
      const { completionScript } = await import('#cli/completion-script.ts')
      const script = completionScript(shell, wordsOf(program))
      if (script === undefined)
        throw new CommandFailure(EXIT.usage, `${shell} is not known: use bash, zsh or fish`)
      output.result(script)
    })
}

/** What can follow each command: `''` for the program itself, `config` and `config check` below it. */
function wordsOf(program: Command): Map<string, { words: string[]; description: string }> {
  const found = new Map<string, { words: string[]; description: string }>()
  const globals = optionsOf(program)
  const visit = (command: Command, path: readonly string[]) => {
    const words = [
      ...command.commands.map((child) => child.name()),
      ...(command === program ? [] : optionsOf(command)),
      ...globals,
      '--help',
    ]
    found.set(path.join(' '), { words, description: command.description() })
    for (const child of command.commands) visit(child, [...path, child.name()])
  }
  visit(program, [])
  return found
}

function optionsOf(command: Command): string[] {
  return command.options
    .filter((option) => option instanceof Option && option.long)
    .map(({ long }) => long ?? '')
}
