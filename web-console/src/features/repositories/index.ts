import { defineFeature } from '@/feature'
import en from './en'
import ru from './ru'

export const repositories = defineFeature({
  name: 'repositories',
  routes: [
    {
      path: '/repositories',
      name: 'repositories',
      component: () => import('./RepositoryList.vue'),
      meta: { right: 'project_read', title: 'repositories.title' },
    },
    {
      path: '/repositories/:id(\\d+)',
      name: 'repository',
      props: ({ params }) => ({ id: Number(params.id) }),
      component: () => import('./RepositoryDetail.vue'),
      meta: { right: 'project_read', title: 'repositories.one' },
    },
  ],
  navigation: [{ to: '/repositories', icon: 'i-lucide-git-branch', group: 'setup', right: 'project_read' }],
  texts: { en, ru },
})
