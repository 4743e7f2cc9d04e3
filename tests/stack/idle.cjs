// An innocent: idle.cjs NAME FOLDER [WORDS…] does nothing, and notes every signal that reaches it in FOLDER/touched.
const { appendFileSync, writeFileSync } = require('node:fs')

const [name, folder] = process.argv.slice(2)
for (const signal of ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGCONT', 'SIGUSR2']) {
  process.on(signal, () => appendFileSync(`${folder}/touched`, `${name} ${signal}\n`))
}
setInterval(() => {}, 3_600_000)
writeFileSync(`${folder}/idle-${name}`, `${process.pid}\n`)
