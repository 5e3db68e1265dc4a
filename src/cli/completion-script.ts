// Completion scripts: the words that can follow each command, in the language of each shell. Files complete as usual.

export type CompletionWords = ReadonlyMap<
  string,
  { readonly words: readonly string[]; readonly description: string }
>

/** Undefined for a shell that is not known. */
export function completionScript(shell: string, commands: CompletionWords): string | undefined {
  if (shell === 'bash') return bash(commands)
  if (shell === 'zsh') return zsh(commands)
  return shell === 'fish' ? fish(commands) : undefined
}

function cases(commands: CompletionWords): string {
  return [...commands].map(([path, { words }]) => `    '${path}') words='${words.join(' ')}' ;;`).join('\n')
}

function bash(commands: CompletionWords): string {
  return `_stowage() {
  local current=\${COMP_WORDS[COMP_CWORD]} at='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$at $word" in
${[...commands.keys()].map((path) => `      ' ${path}'|'${path}') at='${path}' ;;`).join('\n')}
    esac
  done
  case "$at" in
${cases(commands)}
  esac
  if [[ $current == -* || -z $at || $at == config || $at == htpasswd ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _stowage stowage`
}

function zsh(commands: CompletionWords): string {
  return `#compdef stowage
_stowage() {
  local at='' list='' word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    case "$at $word" in
${[...commands.keys()].map((path) => `      ' ${path}'|'${path}') at='${path}' ;;`).join('\n')}
    esac
  done
  case "$at" in
${cases(commands).replaceAll("words='", "list='")}
  esac
  if [[ $PREFIX == -* || -z $at || $at == config || $at == htpasswd ]]; then
    compadd -- \${=list}
  else
    _files
  fi
}
if [ "$funcstack[1]" = _stowage ]; then _stowage "$@"; else compdef _stowage stowage; fi`
}

function fish(commands: CompletionWords): string {
  const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
  // What every command takes is said once: the script is read at each start of the shell.
  const everywhere = [...(commands.get('')?.words ?? [])].filter(
    (word) => word.startsWith('--') && [...commands.values()].every(({ words }) => words.includes(word)),
  )
  const lines = everywhere.map((word) => `complete -c stowage -l ${word.slice(2)}`)
  for (const [path, command] of commands) {
    const words = command.words.filter((word) => !everywhere.includes(word))
    const parts = path === '' ? [] : path.split(' ')
    const condition =
      parts.length === 0
        ? '__fish_use_subcommand'
        : parts.map((part) => `__fish_seen_subcommand_from ${part}`).join('; and ')
    for (const word of words) {
      const description = commands.get([...parts, word].join(' '))?.description
      lines.push(
        word.startsWith('--')
          ? `complete -c stowage -n ${quote(condition)} -l ${word.slice(2)}`
          : `complete -c stowage -f -n ${quote(condition)} -a ${word}${description ? ` -d ${quote(description)}` : ''}`,
      )
    }
  }
  return lines.join('\n')
}
