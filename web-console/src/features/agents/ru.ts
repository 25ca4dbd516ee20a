import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Агенты',
  roles: { dev: 'Разработчик' },
  labels: 'Запускают метки',
  stages: 'Этапы',
  runs: 'Из последних 1000 запусков',
  noRuns: 'Он ещё не запускался.',
  how: 'Как его запускают исполнители',
  fields: { worker: 'Исполнитель', image: 'Образ', command: 'Команда', deadline: 'Предел времени', lease: 'Пространство имён живёт', log: 'Хранится журнала', promised: 'Обещано', most: 'Не более', since: 'С' },
  ownCommand: 'из образа',
  megabytes: '{count} МиБ',
  none: 'Нет живых исполнителей, запускающих агентов: запустите codex-k8s worker.',
}
export default ru
